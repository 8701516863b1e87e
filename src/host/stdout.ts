/**
 * Standard output of the process.
 */

/** The write's own callback has the error; without a listener the same error would end the process. */
const ignoreError = (): void => undefined;

/** Writes text; resolves when the stream has taken it, so that a slow reader slows the writer. */
export function writeStdout(text: string): Promise<void> {
  const { stdout } = process;
  if (!stdout.listeners("error").includes(ignoreError)) stdout.on("error", ignoreError);
  return new Promise((resolve, reject) => {
    stdout.write(text, (error) =>
      error === null || error === undefined ? resolve() : reject(error),
    );
  });
}
