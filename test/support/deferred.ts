/** A promise that is settled from outside. */

/** The promise and its two ends. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (cause: Error) => void;
}

/** What `Promise.withResolvers` gives on newer Nodes. */
export function deferred<T>(): Deferred<T> {
  const ends: { resolve?: (value: T) => void; reject?: (cause: Error) => void } = {};
  const promise = new Promise<T>((resolve, reject) => Object.assign(ends, { resolve, reject }));
  return {
    promise,
    resolve: (value) => ends.resolve?.(value),
    reject: (cause) => ends.reject?.(cause),
  };
}
