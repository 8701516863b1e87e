/**
 * The machine's files with a count of what is asked of them.
 */
import type { FileHandle, Files, OpenMode } from "../../src/host/files.ts";

/** Calls since the start, or since the caller set them to 0. */
export interface FileCounts {
  /** Writes to files in a durable mode: each one is a flush. */
  durableWrites: number;
  durableBytes: number;
  /** Writes that are flushed together, later. */
  plainWrites: number;
  plainBytes: number;
  syncs: number;
  /** Everything else that goes to the disk: opens, renames, removals, directory syncs. */
  others: number;
}

/** No calls yet. */
export function noCounts(): FileCounts {
  return {
    durableWrites: 0,
    durableBytes: 0,
    plainWrites: 0,
    plainBytes: 0,
    syncs: 0,
    others: 0,
  };
}

/** The same files; `counts` changes with each call. */
export function countingFiles(files: Files, counts: FileCounts): Files {
  const counted = <Value>(call: Promise<Value>): Promise<Value> => {
    counts.others += 1;
    return call;
  };
  return {
    open: async (path, mode) => countingHandle(await counted(files.open(path, mode)), mode, counts),
    makeDirectory: (path) => counted(files.makeDirectory(path)),
    list: (path) => counted(files.list(path)),
    rename: (from, to) => counted(files.rename(from, to)),
    remove: (path) => counted(files.remove(path)),
    syncDirectory: (path) => counted(files.syncDirectory(path)),
    readFile: (path) => counted(files.readFile(path)),
    stat: (path) => counted(files.stat(path)),
    fileSystem: (path) => counted(files.fileSystem(path)),
  };
}

function countingHandle(handle: FileHandle, mode: OpenMode, counts: FileCounts): FileHandle {
  const isDurable = mode === "write-durable" || mode === "create-durable";
  return {
    path: handle.path,
    read: (buffer, offset, length, position) => handle.read(buffer, offset, length, position),
    write(buffer, offset, length, position) {
      if (isDurable) {
        counts.durableWrites += 1;
        counts.durableBytes += length;
      } else {
        counts.plainWrites += 1;
        counts.plainBytes += length;
      }
      return handle.write(buffer, offset, length, position);
    },
    sync() {
      counts.syncs += 1;
      return handle.sync();
    },
    truncate: (bytes) => handle.truncate(bytes),
    size: () => handle.size(),
    close: () => handle.close(),
  };
}
