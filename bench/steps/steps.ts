/**
 * Steps of the bench's pipelines.
 */

/** Keeps four of five records of the generator. */
export function isHot(row: { readonly temp: number }): boolean {
  return row.temp > 20;
}
