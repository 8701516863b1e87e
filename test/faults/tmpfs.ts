/**
 * A small file system in memory, for disks that are really full. Mounting takes root; where it is not allowed the
 * test says so and is skipped.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

const runFile = promisify(execFile);

/**
 * A directory on a tmpfs of this many MiB of its own, until the test ends. Undefined when that is not allowed here:
 * then the test has been skipped.
 */
export async function smallDisk(
  context: TestContext,
  mebibytes: number,
): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-disk-"));
  const options = `size=${mebibytes}m,mode=0700`;
  try {
    await runFile("mount", ["-t", "tmpfs", "-o", options, "tmpfs", directory]);
  } catch {
    await rm(directory, { recursive: true });
    context.skip("this Node runs without the right to mount a tmpfs");
    return undefined;
  }
  context.after(async () => {
    await runFile("umount", ["-l", directory]);
    await rm(directory, { recursive: true });
  });
  return directory;
}
