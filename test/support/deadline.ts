/**
 * Waits of the tests that run real processes: they wait for something to happen, and a deadline only turns a
 * hang into a message.
 */

/** Resolves as `promise` does; rejects when it has not settled after `milliseconds`, naming what was awaited. */
export async function within<Value>(
  milliseconds: number,
  what: string,
  promise: Promise<Value>,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what}: nothing after ${milliseconds} ms`));
    }, milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when the time is over, or at once when the signal aborts. For paced polls and load, never for an order. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
  });
}

/** Asks every `everyMs` until the answer is true; rejects after `deadlineMs` or as soon as asking does. */
export async function eventually(
  what: string,
  ask: () => Promise<boolean> | boolean,
  limits: { readonly everyMs: number; readonly deadlineMs: number },
): Promise<void> {
  const startMs = performance.now();
  while (!(await ask())) {
    if (performance.now() - startMs > limits.deadlineMs)
      throw new Error(`${what}: not after ${limits.deadlineMs} ms`);
    await pause(limits.everyMs);
  }
}
