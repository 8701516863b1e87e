/**
 * Files of the machine. The only file that touches `node:fs` for data.
 *
 * Calls go to libuv's pool with plain callbacks: a promise of `fs.promises` costs several turns more,
 * and the log makes one call per group commit.
 */
import * as fs from "node:fs";
import { dirname } from "node:path";

import { codeOf } from "../errors.ts";
import type { DirectoryEntry, FileHandle, Files, FileStat, FileSystem, OpenMode } from "./files.ts";

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;

/**
 * On Linux a write to an O_DSYNC descriptor returns when the data is on the disk. Elsewhere the flag
 * does not promise that (macOS leaves the drive's cache alone), so durable writes sync instead.
 */
const O_DSYNC: number = process.platform === "linux" ? fs.constants.O_DSYNC : 0;

/** What a file system says that does not know O_DSYNC. */
const DSYNC_REFUSALS: readonly string[] = ["EINVAL", "ENOTSUP", "EOPNOTSUPP"];

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** Numbers of `statfs(2)` on Linux. */
const FILE_SYSTEM_TYPES: ReadonlyMap<number, string> = new Map([
  [0xef53, "ext4"],
  [0x5846_5342, "xfs"],
  [0x9123_683e, "btrfs"],
  [0x2fc1_2fc1, "zfs"],
  [0xf2f5_2010, "f2fs"],
  [0xca45_1a4e, "bcachefs"],
  [0x3434, "nilfs2"],
  [0x0102_1994, "tmpfs"],
  [0x8584_58f6, "ramfs"],
  [0x794c_7630, "overlay"],
  [0x6969, "nfs"],
  [0xff53_4d42, "cifs"],
  [0xfe53_4d42, "smb2"],
  [0x0102_1997, "9p"],
  [0x6573_5546, "fuse"],
  [0x00c3_6400, "ceph"],
  [0x4d44, "vfat"],
  [0x2011_bab0, "exfat"],
  [0x2405_1905, "ubifs"],
  [0x72b6, "jffs2"],
  [0x7371_7368, "squashfs"],
]);

type Settle<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

/** One promise around one call with a plain callback. */
function called<T>(call: (settle: Settle<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error === null ? resolve(value) : reject(error)));
  });
}

function settled(
  call: (settle: (error: NodeJS.ErrnoException | null) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Answers `fallback` for a path that names nothing, and rethrows everything else. */
async function unlessMissing<T>(call: Promise<T>, fallback: T): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return fallback;
    throw error;
  }
}

/**
 * Not Node's `recursive`: below a directory that takes no names (`/proc`, an automounter's) that tries
 * for ever and never calls back.
 */
async function makeDirectory(path: string): Promise<void> {
  const make = (): Promise<void> => settled((done) => fs.mkdir(path, DIRECTORY_MODE, done));
  try {
    await make();
  } catch (error) {
    if (codeOf(error) === "EEXIST") return await assertDirectory(path, error);
    const parent = dirname(path);
    if (codeOf(error) !== "ENOENT" || parent === path) throw error;
    await makeDirectory(parent);
    // Once more and no more often; another process may have been quicker.
    await make().catch((again: unknown) => assertDirectory(path, again));
  }
}

async function assertDirectory(path: string, error: unknown): Promise<void> {
  const stat = await called<fs.Stats>((done) => fs.stat(path, done)).catch(() => undefined);
  if (stat?.isDirectory() !== true) throw error;
}

class RealFile implements FileHandle {
  readonly path: string;
  readonly #fd: number;
  readonly #syncEachWrite: boolean;
  #closed: Promise<void> | undefined;

  constructor(path: string, fd: number, syncEachWrite: boolean) {
    this.path = path;
    this.#fd = fd;
    this.#syncEachWrite = syncEachWrite;
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return called((settle) =>
      fs.read(this.#descriptor(), buffer, offset, length, position, settle),
    );
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    const written = called<number>((settle) =>
      fs.write(this.#descriptor(), buffer, offset, length, position, settle),
    );
    return this.#syncEachWrite ? this.#thenSync(written) : written;
  }

  sync(): Promise<void> {
    return settled((settle) => fs.fdatasync(this.#descriptor(), settle));
  }

  truncate(bytes: number): Promise<void> {
    return settled((settle) => fs.ftruncate(this.#descriptor(), bytes, settle));
  }

  async size(): Promise<number> {
    const stat = await called<fs.Stats>((settle) => fs.fstat(this.#descriptor(), settle));
    return stat.size;
  }

  close(): Promise<void> {
    this.#closed ??= settled((settle) => fs.close(this.#fd, settle));
    return this.#closed;
  }

  /** The number of a closed descriptor may belong to another file by now: it is never used again. */
  #descriptor(): number {
    if (this.#closed !== undefined)
      throw Object.assign(new Error(`EBADF: ${this.path} is closed`), { code: "EBADF" });
    return this.#fd;
  }

  async #thenSync(written: Promise<number>): Promise<number> {
    const count = await written;
    await this.sync();
    return count;
  }
}

function flagsOf(mode: OpenMode): number {
  if (mode === "read") return O_RDONLY;
  return mode === "create" || mode === "create-durable" ? O_RDWR | O_CREAT | O_EXCL : O_RDWR;
}

function openDescriptor(path: string, flags: number): Promise<number> {
  return called((settle) => fs.open(path, flags, FILE_MODE, settle));
}

async function open(path: string, mode: OpenMode): Promise<FileHandle> {
  const durable = mode === "write-durable" || mode === "create-durable";
  if (!durable) return new RealFile(path, await openDescriptor(path, flagsOf(mode)), false);
  if (O_DSYNC === 0) return new RealFile(path, await openDescriptor(path, flagsOf(mode)), true);
  try {
    return new RealFile(path, await openDescriptor(path, flagsOf(mode) | O_DSYNC), false);
  } catch (error) {
    if (!DSYNC_REFUSALS.includes(codeOf(error))) throw error;
    // The refused call may have made the file already, so asking for a new one would fail now.
    return new RealFile(path, await openDescriptor(path, flagsOf(mode) & ~O_EXCL), true);
  }
}

function kindOf(entry: fs.Dirent | fs.BigIntStats): DirectoryEntry["kind"] {
  if (entry.isFile()) return "file";
  return entry.isDirectory() ? "directory" : "other";
}

async function list(path: string): Promise<readonly DirectoryEntry[]> {
  const entries = await called<fs.Dirent[]>((settle) =>
    fs.readdir(path, { withFileTypes: true }, settle),
  );
  const named = entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  return named.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function stat(path: string): Promise<FileStat | undefined> {
  const found = called<fs.BigIntStats>((settle) => fs.stat(path, { bigint: true }, settle));
  const stats = await unlessMissing<fs.BigIntStats | undefined>(found, undefined);
  return stats && { kind: kindOf(stats), bytes: Number(stats.size), inode: String(stats.ino) };
}

async function syncDirectory(path: string): Promise<void> {
  const fd = await openDescriptor(path, O_RDONLY);
  try {
    await settled((settle) => fs.fsync(fd, settle));
  } finally {
    await settled((settle) => fs.close(fd, settle));
  }
}

/** Name of a file system by the number that `statfs` gives, as {@link FileSystem.type} has it. */
export function fileSystemType(type: number): string {
  const unsigned = type >>> 0;
  return FILE_SYSTEM_TYPES.get(unsigned) ?? `unknown-${unsigned.toString(16)}`;
}

async function fileSystem(path: string): Promise<FileSystem> {
  const stats = await called<fs.StatsFs>((settle) => fs.statfs(path, settle));
  return {
    type: fileSystemType(stats.type),
    freeBytes: stats.bavail * stats.bsize,
    totalBytes: stats.blocks * stats.bsize,
  };
}

/** The machine's files. */
export const realFiles: Files = {
  open,
  list,
  stat,
  syncDirectory,
  fileSystem,
  makeDirectory,
  rename: (from, to) => settled((settle) => fs.rename(from, to, settle)),
  remove: (path) =>
    unlessMissing(
      settled((settle) => fs.unlink(path, settle)),
      undefined,
    ),
  readFile: (path) => called<Buffer>((settle) => fs.readFile(path, settle)),
};
