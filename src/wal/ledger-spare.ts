/**
 * The ledger's next file, made in advance: blank, and with all its blocks allocated, so that a full disk
 * cannot keep plans and commits from becoming durable.
 *
 * A file that has been left is blanked and becomes the next one; only the first start and a failed
 * write need new space.
 */
import { join } from "node:path";

import { HoldfastError, toError } from "../errors.ts";
import type { FileHandle, Files } from "../host/files.ts";
import { closeQuietly } from "./close-quietly.ts";
import { ALIGNMENT_BYTES, zeros } from "./format.ts";
import { ledgerFileName, parseLedgerFileName } from "./ledger-file.ts";
import { writeAll } from "./segment-writer.ts";

/** A blank file that nobody has written to under its number. */
export interface BlankFile {
  readonly fileNumber: number;
  readonly path: string;
  readonly handle: FileHandle;
  readonly capacityBytes: number;
}

/** Removes a file that nobody needs; if it stays, the next open finds it. */
export async function removeQuietly(files: Files, path: string): Promise<void> {
  try {
    await files.remove(path);
  } catch {
    // It costs space until then, and its number is below that of the file that counts.
  }
}

/** Gives out numbers and keeps at most one blank file ready. */
export class LedgerSpare {
  readonly #files: Files;
  readonly #directory: string;
  /** Highest number in any name so far; the next one is free. */
  #highestNumber: number;
  #blank: BlankFile | undefined;
  /** Preparations run one after another; this one never rejects. */
  #work: Promise<void> = Promise.resolve();
  #working = 0;
  #lastError: Error | undefined;

  constructor(files: Files, directory: string, highestNumber: number) {
    this.#files = files;
    this.#directory = directory;
    this.#highestNumber = highestNumber;
  }

  /** Why the last preparation failed; undefined once one has succeeded. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Resolves when no preparation runs. */
  settled(): Promise<void> {
    return this.#work;
  }

  /** Makes a blank file in the background, from `used` if given. Its failure shows in `lastError`. */
  prepare(capacityBytes: number, used?: { readonly path: string; readonly bytes: number }): void {
    const before = this.#work;
    this.#working += 1;
    const attempt = async (): Promise<void> => {
      await before;
      try {
        this.#blank ??= await this.#make(capacityBytes, used);
        this.#lastError = undefined;
      } catch (error) {
        this.#lastError = toError(error);
      }
      this.#working -= 1;
    };
    this.#work = attempt();
  }

  /** Tries again what failed, unless it is being tried: a disk that was full may have room now. */
  retry(capacityBytes: number): void {
    if (this.#lastError !== undefined && this.#working === 0) this.prepare(capacityBytes);
  }

  /** The blank file, made now if there is none of that size. */
  async take(capacityBytes: number): Promise<BlankFile> {
    await this.#work;
    const blank = this.#blank;
    this.#blank = undefined;
    if (blank !== undefined && blank.capacityBytes >= capacityBytes) return blank;
    if (blank !== undefined) await this.#discard(blank);
    return this.#make(capacityBytes, undefined);
  }

  /** Throws LEDGER_FENCED when a file is there that we did not make: another process has opened the ledger. */
  async assertOwner(currentNumber: number): Promise<void> {
    const numbers = (await this.#files.list(this.#directory)).map(
      (entry) => parseLedgerFileName(entry.name) ?? 0,
    );
    const newest = Math.max(0, ...numbers);
    if (newest <= this.#highestNumber && numbers.includes(currentNumber)) return;
    throw new HoldfastError(
      "LEDGER_FENCED",
      `${this.#directory} has ledger file ${newest}, this process wrote ${currentNumber}: another one has opened it`,
      {
        fix: "stop one of the two processes",
      },
    );
  }

  async close(): Promise<void> {
    await this.#work;
    if (this.#blank !== undefined) await closeQuietly(this.#blank.handle);
    this.#blank = undefined;
  }

  async #make(
    capacityBytes: number,
    used: { readonly path: string; readonly bytes: number } | undefined,
  ): Promise<BlankFile> {
    this.#highestNumber += 1;
    const fileNumber = this.#highestNumber;
    const path = join(this.#directory, ledgerFileName(fileNumber));
    if (used === undefined || used.bytes < capacityBytes) {
      if (used !== undefined) await this.#files.remove(used.path);
      return { fileNumber, path, handle: await this.#create(path, capacityBytes), capacityBytes };
    }
    await this.#blankOut(used.path);
    await this.#files.rename(used.path, path);
    // The name decides how a file without a header is read, so it is durable before anything is in it.
    await this.#files.syncDirectory(this.#directory);
    return {
      fileNumber,
      path,
      handle: await this.#files.open(path, "write-durable"),
      capacityBytes: used.bytes,
    };
  }

  /** Takes the header block away before the name changes: a file is never found under two numbers. */
  async #blankOut(path: string): Promise<void> {
    const handle = await this.#files.open(path, "write-durable");
    try {
      await writeAll(handle, zeros(ALIGNMENT_BYTES), ALIGNMENT_BYTES, 0);
    } finally {
      await closeQuietly(handle);
    }
  }

  async #create(path: string, capacityBytes: number): Promise<FileHandle> {
    const handle = await this.#files.open(path, "create-durable");
    try {
      await writeAll(handle, zeros(capacityBytes), capacityBytes, 0);
      await this.#files.syncDirectory(this.#directory);
      return handle;
    } catch (error) {
      await closeQuietly(handle);
      await removeQuietly(this.#files, path);
      throw error;
    }
  }

  async #discard(blank: BlankFile): Promise<void> {
    await closeQuietly(blank.handle);
    await removeQuietly(this.#files, blank.path);
  }
}
