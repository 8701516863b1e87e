/** A promise whose standing can be seen without waiting for it. */

/** Where it stands. */
export interface Watched<T> {
  status: "waiting" | "done" | "failed";
  value: T | undefined;
  error: unknown;
}

/** Watches a promise; its rejection is not unhandled any more. */
export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { status: "waiting", value: undefined, error: undefined };
  promise.then(
    (value) => Object.assign(watched, { status: "done", value }),
    (error: unknown) => Object.assign(watched, { status: "failed", error }),
  );
  return watched;
}
