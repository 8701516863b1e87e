/**
 * Files. The only file that touches `node:fs`.
 *
 * The port is small on purpose: what the log and the file sinks need, so that a simulated disk can
 * keep its promises. Errors are Node's (`code` is ENOSPC, EIO, ENOENT, EEXIST ...).
 */

/** How a file is opened; `create` makes it (EEXIST when it is there), the others want it there. */
export type OpenMode = "read" | "write" | "write-durable" | "create" | "create-durable";

/** An open file. Positions and lengths are bytes; calls may overlap, their order is the caller's. */
export interface FileHandle {
  readonly path: string;
  /** Reads up to `length` bytes at `position` into `buffer` at `offset`; fewer at the end of the file. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /**
   * Writes and returns how many bytes were taken; fewer than `length` is for the caller to judge.
   * Durable when it resolves if the file was opened in a durable mode (O_DSYNC), else after `sync`.
   */
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** fdatasync: data, and what is needed to read it back, are on the disk. Never call it again after it failed. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  size(): Promise<number>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** What `list` says of one name. */
export interface DirectoryEntry {
  readonly name: string;
  readonly kind: "file" | "directory" | "other";
}

/** What a directory's file system is, and how full. */
export interface FileSystem {
  /** As `statfs` names it, lower case: ext4, xfs, btrfs, tmpfs, overlay, nfs ...; `unknown-<hex>` otherwise. */
  readonly type: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Files and directories. Files are made with mode 0600, directories with 0700. */
export interface Files {
  open(path: string, mode: OpenMode): Promise<FileHandle>;
  /** With parents; fine when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** Sorted by name; ENOENT when there is no such directory. */
  list(path: string): Promise<readonly DirectoryEntry[]>;
  /** Replaces `to`. Durable only after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  /** Fine when it is not there. Durable only after `syncDirectory`. */
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** The whole file; ENOENT when it is not there. For small files. */
  readFile(path: string): Promise<Uint8Array>;
  /** Bytes and identity of a file or directory, or undefined when there is none. */
  stat(path: string): Promise<FileStat | undefined>;
  fileSystem(path: string): Promise<FileSystem>;
}

/** Size and identity of what a path names. */
export interface FileStat {
  readonly kind: "file" | "directory" | "other";
  readonly bytes: number;
  /** Inode number as text: stays over a rename, differs in a copy. */
  readonly inode: string;
}
