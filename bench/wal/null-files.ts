/**
 * Files that take everything and keep nothing: what is left is the cost of our own code.
 */
import type { FileHandle, Files } from "../../src/host/files.ts";

const done: Promise<void> = Promise.resolve();

class NullFile implements FileHandle {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  read(): Promise<number> {
    return Promise.resolve(0);
  }

  write(_buffer: Uint8Array, _offset: number, length: number): Promise<number> {
    return Promise.resolve(length);
  }

  sync(): Promise<void> {
    return done;
  }

  truncate(): Promise<void> {
    return done;
  }

  size(): Promise<number> {
    return Promise.resolve(0);
  }

  close(): Promise<void> {
    return done;
  }
}

/** An empty directory for ever. */
export const nullFiles: Files = {
  open: (path) => Promise.resolve(new NullFile(path)),
  makeDirectory: () => done,
  list: () => Promise.resolve([]),
  rename: () => done,
  remove: () => done,
  syncDirectory: () => done,
  readFile: () => Promise.resolve(new Uint8Array(0)),
  stat: () => Promise.resolve(undefined),
  fileSystem: () => Promise.resolve({ type: "null", freeBytes: 2 ** 40, totalBytes: 2 ** 40 }),
};
