/**
 * The console of a running program, as a scraper sees it.
 */

/** Reads `/metrics` of a console on loopback. Rejects when it does not answer 200 within five seconds. */
export async function scrape(consolePort: number): Promise<Metrics> {
  const answer = await fetch(`http://127.0.0.1:${consolePort}/metrics`, {
    signal: AbortSignal.timeout(5_000),
  });
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}`);
  return new Metrics(await answer.text());
}

/** Samples in the Prometheus text format. */
export class Metrics {
  readonly #samples: readonly (readonly [series: string, value: number])[];

  constructor(text: string) {
    this.#samples = text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => {
        const cut = line.lastIndexOf(" ");
        return [line.slice(0, cut), Number(line.slice(cut + 1))] as const;
      });
  }

  /**
   * Sum of all series of a metric; `absent` when there is none yet. Without it that throws, so that a renamed metric
   * does not read as 0.
   */
  sum(name: string, absent?: number): number {
    const values = this.#samples.filter(
      ([series]) => series === name || series.startsWith(`${name}{`),
    );
    if (values.length > 0) return values.reduce((sum, [, value]) => sum + value, 0);
    if (absent === undefined) throw new Error(`no metric ${name}`);
    return absent;
  }
}
