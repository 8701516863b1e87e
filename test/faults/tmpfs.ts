/**
 * A small file system in memory, for disks that are really full. Mounting takes root; where it is not allowed the
 * test says so and is skipped.
 */
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

const runFile = promisify(execFile);

/**
 * Mounts a tmpfs of this many MiB on a directory, made if needed, until the test ends. False when that is not
 * allowed here: then the test has been skipped.
 */
export async function mountSmall(
  context: TestContext,
  directory: string,
  mebibytes: number,
): Promise<boolean> {
  await mkdir(directory, { recursive: true });
  try {
    await runFile("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m,mode=0700`, "tmpfs", directory]);
  } catch {
    context.skip("this Node runs without the right to mount a tmpfs");
    return false;
  }
  context.after(() => runFile("umount", ["-l", directory]));
  return true;
}
