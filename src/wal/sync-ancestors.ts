import { dirname } from "node:path";
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";

/**
 * Makes a new log's directory durable: without its name in the directories above, a power cut would
 * take everything in it.
 */
export async function syncAncestors(files: Files, directory: string): Promise<void> {
  for (let at = dirname(directory); ; at = dirname(at)) {
    try {
      await files.syncDirectory(at);
    } catch (cause) {
      // Not ours to open: then we have not made anything in it or above it.
      if (["EACCES", "EPERM"].includes(codeOf(cause))) return;
      throw cause;
    }
    if (at === dirname(at)) return;
  }
}
