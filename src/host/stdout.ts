/**
 * Standard output of the process.
 */

/** Writes text; resolves when the stream has taken it, so that a slow reader slows the writer. */
export function writeStdout(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
