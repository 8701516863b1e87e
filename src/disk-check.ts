/**
 * Whether the data directory lies where acknowledged records survive a power cut. Asked once, before anything is
 * opened.
 */
import { join, resolve } from "node:path";
import type { Emit } from "./contract/events.ts";
import type { HealthReason } from "./contract/status.ts";
import { HoldfastError } from "./errors.ts";
import type { Files } from "./host/files.ts";
import { LEDGER_DIRECTORY, LOG_DIRECTORY } from "./storage.ts";
import { unsuitableBecause } from "./wal/file-systems.ts";

/** What is checked, and how strictly. */
export interface DiskCheck {
  readonly files: Files;
  /** The data directory; it exists. */
  readonly directory: string;
  /** `strict`: a directory that is not known to be suitable is refused. */
  readonly durability: "standard" | "strict";
  readonly emit: Emit;
}

/**
 * A warning for each unsuitable file system, told as an event and shown by `health()`: it does not make an ingest
 * less ready, for what it does is done as well as the place allows.
 *
 * @throws FILE_SYSTEM_UNSUITABLE where `durability` is strict
 */
export async function checkDisk(check: DiskCheck): Promise<readonly HealthReason[]> {
  const { directory, durability, emit, files } = check;
  const warnings: HealthReason[] = [];
  const seen = new Set<string>();
  // Parts of it may be mounted from elsewhere.
  for (const path of ["", LOG_DIRECTORY, LEDGER_DIRECTORY].map((name) => join(directory, name))) {
    const fileSystem = await typeOf(files, path);
    const reason = fileSystem === undefined ? undefined : unsuitableBecause(fileSystem);
    if (fileSystem === undefined || reason === undefined || seen.has(fileSystem)) continue;
    seen.add(fileSystem);
    const message = `${resolve(path)} is on ${fileSystem}, which ${reason}`;
    if (durability === "strict")
      throw new HoldfastError("FILE_SYSTEM_UNSUITABLE", message, {
        fix: "put `data:` on ext4 or xfs of a local disk, or set log.durability to standard",
      });
    emit("log-unsuitable", { directory: resolve(path), fileSystem, reason });
    warnings.push({ unit: "log", code: "FILE_SYSTEM_UNSUITABLE", message });
  }
  return warnings;
}

/** Undefined for a directory that is yet to be made: it will be on the file system of the one above. */
async function typeOf(files: Files, path: string): Promise<string | undefined> {
  if ((await files.stat(path)) === undefined) return undefined;
  try {
    return (await files.fileSystem(path)).type;
  } catch {
    // What cannot be asked is not known, which is what the caller then says.
    return "a file system that does not answer";
  }
}
