/**
 * Folders that are gone when the bench ends, also when it is interrupted.
 */
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const present = new Set<string>();
process.once("exit", () => {
  for (const directory of present) rmSync(directory, { recursive: true, force: true });
});

/** A new empty folder; TMPDIR chooses the disk that is measured. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  present.add(directory);
  return directory;
}

export async function removeTemporary(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  present.delete(directory);
}
