/**
 * Copies of damaged bytes with a report beside each, for whoever wants to look into it. Bounded:
 * oldest first out.
 */
import type { Files } from "../host/files.ts";
import { writeFully } from "./segment-writer.ts";

/** Bytes of all copies together. */
export const QUARANTINE_BYTES_MAX: number = 64 * 1024 * 1024;
const DIRECTORY_NAME = "quarantine";

/** A damaged range of a segment. */
export interface DamagedRange {
  readonly segmentId: number;
  readonly position: number;
  readonly bytes: Uint8Array;
  /** Offsets that are lost by it. */
  readonly from: number;
  readonly to: number;
  readonly reason: string;
  readonly wallMs: number;
}

/**
 * Keeps a copy and returns its path. The caller decides what a failure means: nothing depends on
 * the copy.
 */
export async function quarantine(
  files: Files,
  logDirectory: string,
  range: DamagedRange,
): Promise<string> {
  const directory = `${logDirectory}/${DIRECTORY_NAME}`;
  await files.makeDirectory(directory);
  const { bytes, ...report } = range;
  const path = quarantinePath(logDirectory, { ...report, bytes: bytes.length });
  await writeFile(files, path, bytes);
  await writeFile(
    files,
    path.replace(/bin$/, "json"),
    new TextEncoder().encode(`${JSON.stringify({ ...report, bytes: bytes.length })}\n`),
  );
  await files.syncDirectory(directory);
  await makeRoom(files, directory);
  return path;
}

/** Where the copy of a range is kept. */
export function quarantinePath(
  logDirectory: string,
  range: { readonly segmentId: number; readonly position: number; readonly bytes: number },
): string {
  const { bytes, position, segmentId } = range;
  const name = `${segmentId.toString(16).padStart(8, "0")}-${position}-${bytes}`;
  return `${logDirectory}/${DIRECTORY_NAME}/${name}.bin`;
}

async function writeFile(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  await files.remove(path);
  const handle = await files.open(path, "create");
  try {
    await writeFully(handle, bytes, bytes.length, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Names begin with the segment id, which only grows: sorted by name is sorted by age. */
async function makeRoom(files: Files, directory: string): Promise<void> {
  const sizes: { readonly name: string; readonly bytes: number }[] = [];
  for (const { name } of await files.list(directory)) {
    sizes.push({ name, bytes: (await files.stat(`${directory}/${name}`))?.bytes ?? 0 });
  }
  let total = sizes.reduce((sum, file) => sum + file.bytes, 0);
  for (const file of sizes) {
    if (total <= QUARANTINE_BYTES_MAX) return;
    await files.remove(`${directory}/${file.name}`);
    total -= file.bytes;
  }
}
