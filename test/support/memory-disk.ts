/**
 * A disk in memory that keeps only what was synced: the simulated `Files` of the tests.
 *
 * Calls take effect in the cache when they are made and settle a microtask later, so runs are
 * deterministic. `crash` is a power cut: of what was not synced, any part may be kept. Faults are set
 * from outside: the n-th call fails, is cut short, is held back, or is the last before the power goes.
 */
import type {
  DirectoryEntry,
  FileHandle,
  Files,
  FileStat,
  FileSystem,
  OpenMode,
} from "../../src/host/files.ts";
import {
  type CallKind,
  type CallMatch,
  type FaultEffect,
  type Hold,
  MemoryFaults,
  type NthCall,
} from "./memory-faults.ts";
import { BLOCK_BYTES, type FileInode } from "./memory-inode.ts";
import {
  fileError,
  type Keep,
  MemoryTree,
  normalPath,
  parentOf,
  type UnsyncedItem,
} from "./memory-tree.ts";

export type { CallKind, CallMatch, FaultEffect, Hold, NthCall } from "./memory-faults.ts";
export { BLOCK_BYTES } from "./memory-inode.ts";
export type { Keep, UnsyncedItem } from "./memory-tree.ts";

interface Effect<T> {
  readonly kind: CallKind;
  readonly path: string;
  /** Changes the cache; `bytesMax` is set where a fault cuts the call short. */
  readonly begin: (bytesMax: number) => T;
  /** Makes it durable, for calls that do. */
  readonly finish?: (value: T) => void;
  /** The call failed behind the cache: what was to become durable never will. */
  readonly lose?: () => void;
}

/** The code of every call after the power went. */
export const POWER_OFF = "EPOWEROFF";

/** Options of a disk. */
export interface MemoryDiskOptions {
  /** @defaultValue Infinity */
  readonly capacityBytes?: number;
  /** What `fileSystem` says. @defaultValue "ext4" */
  readonly type?: string;
}

export class MemoryDisk implements Files {
  /** Blocks beyond this are refused with ENOSPC, after as many as fit. */
  capacityBytes: number;
  readonly #type: string;
  #tree = new MemoryTree();
  readonly #faults = new MemoryFaults();
  #counts = new Map<CallKind, number>();
  #isOn = true;
  /** Number of this power-on: handles of an older one are dead. */
  #life = 1;

  constructor(options: MemoryDiskOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Infinity;
    this.#type = options.type ?? "ext4";
  }

  /** Calls made since the last crash. */
  callCount(kind?: CallKind): number {
    if (kind !== undefined) return this.#counts.get(kind) ?? 0;
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The n-th matching call fails with this code. */
  failCall(fault: NthCall & { readonly code: string; readonly effect?: FaultEffect }): void {
    this.#faults.add({ ...fault, what: "error", effect: fault.effect ?? "none" });
  }

  /** The n-th matching write takes only so many bytes and says so. */
  shortWrite(fault: {
    readonly nth: number;
    readonly bytes: number;
    readonly path?: string;
  }): void {
    this.#faults.add({ ...fault, what: "short", kind: "write" });
  }

  /** During the n-th matching call the power goes: it is in flight, and all later ones fail with {@link POWER_OFF}. */
  powerOffAt(call: NthCall): void {
    this.#faults.add({ ...call, what: "power-off" });
  }

  powerOff(): void {
    this.#isOn = false;
    this.#faults.letGo();
  }

  /** From now on matching calls change the cache and then wait. */
  hold(match: CallMatch): Hold {
    return this.#faults.hold(match);
  }

  /** What a power cut now may or may not keep, in a fixed order. */
  unsynced(): readonly UnsyncedItem[] {
    return this.#tree.unsynced();
  }

  /** Power cut (`keep: "all"` is a killed process), then power on again: no faults, no holds, no open files. */
  crash(options: { readonly keep: Keep }): void {
    this.powerOff();
    this.#tree.crash(options.keep);
    this.#life += 1;
    this.#faults.clear();
    this.#counts = new Map();
    this.#isOn = true;
  }

  /** The same disk once more, without open files, faults and holds. */
  clone(): MemoryDisk {
    const twin = new MemoryDisk({ capacityBytes: this.capacityBytes, type: this.#type });
    twin.#tree = this.#tree.copy();
    return twin;
  }

  /** Paths of all files, sorted. */
  paths(): readonly string[] {
    return this.#tree.paths();
  }

  /** What programs see of a file. */
  contents(path: string): Uint8Array {
    const file = this.#tree.file(path);
    const bytes = new Uint8Array(file.bytes);
    file.read(bytes, 0);
    return bytes;
  }

  /** Puts a file there, durable with its directories. */
  put(path: string, bytes: Uint8Array): void {
    this.putDirectory(parentOf(path));
    const file =
      this.#tree.find(path) === undefined ? this.#tree.createFile(path) : this.#tree.file(path);
    file.replace(bytes);
    this.#tree.syncDirectory(parentOf(path));
  }

  /** Puts a directory there, durable with its parents. */
  putDirectory(path: string): void {
    this.#tree.makeDirectory(path);
    for (let at = normalPath(path); at !== "/"; at = parentOf(at))
      this.#tree.syncDirectory(parentOf(at));
  }

  /** Takes a file away, durably. */
  take(path: string): void {
    this.#tree.remove(path);
    this.#tree.syncDirectory(parentOf(path));
  }

  /** Changes bytes at rest. */
  patch(path: string, at: number, bytes: Uint8Array): void {
    const content = this.contents(path);
    content.set(bytes, at);
    this.put(path, content);
  }

  /** Flips one bit at rest; `bit` 0 is the lowest of its byte. */
  flipBit(path: string, byteIndex: number, bit: number): void {
    const byte = this.contents(path)[byteIndex] ?? 0;
    this.patch(path, byteIndex, Uint8Array.of(byte ^ (1 << bit)));
  }

  /** Cuts a file at a byte, at rest. */
  cut(path: string, bytes: number): void {
    this.put(path, this.contents(path).subarray(0, bytes));
  }

  open(path: string, mode: OpenMode): Promise<FileHandle> {
    const creates = mode === "create" || mode === "create-durable";
    const begin = (): FileHandle => {
      const inode = creates ? this.#tree.createFile(path) : this.#tree.file(path);
      return this.#handle(path, inode, mode);
    };
    return this.#call({ kind: creates ? "create" : "open", path, begin });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#call({ kind: "makeDirectory", path, begin: () => this.#tree.makeDirectory(path) });
  }

  list(path: string): Promise<readonly DirectoryEntry[]> {
    const begin = (): DirectoryEntry[] => {
      const names = [...this.#tree.directory(path).cache.keys()].toSorted();
      return names.map((name) => ({
        name,
        kind: this.#tree.find(`${path}/${name}`)?.kind ?? "other",
      }));
    };
    return this.#call({ kind: "list", path, begin });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call({ kind: "rename", path: to, begin: () => this.#tree.rename(from, to) });
  }

  remove(path: string): Promise<void> {
    return this.#call({ kind: "remove", path, begin: () => this.#tree.remove(path) });
  }

  syncDirectory(path: string): Promise<void> {
    const finish = (): void => this.#tree.syncDirectory(path);
    return this.#call({
      kind: "syncDirectory",
      path,
      begin: () => void this.#tree.directory(path),
      finish,
    });
  }

  readFile(path: string): Promise<Uint8Array> {
    return this.#call({ kind: "readFile", path, begin: () => this.contents(path) });
  }

  stat(path: string): Promise<FileStat | undefined> {
    const begin = (): FileStat | undefined => {
      const node = this.#tree.find(path);
      return (
        node && {
          kind: node.kind,
          bytes: node.kind === "file" ? node.bytes : 0,
          inode: String(node.id),
        }
      );
    };
    return this.#call({ kind: "stat", path, begin });
  }

  fileSystem(path: string): Promise<FileSystem> {
    const begin = (): FileSystem => {
      const usedBytes = this.#tree.allocatedBlocks() * BLOCK_BYTES;
      return {
        type: this.#type,
        freeBytes: Math.max(0, this.capacityBytes - usedBytes),
        totalBytes: this.capacityBytes,
      };
    };
    return this.#call({ kind: "fileSystem", path, begin });
  }

  #handle(path: string, inode: FileInode, mode: OpenMode): FileHandle {
    const life = this.#life;
    const isDurable = mode === "write-durable" || mode === "create-durable";
    let isOpen = true;
    const call = async <T>(effect: Omit<Effect<T>, "path">): Promise<T> => {
      if (life !== this.#life) throw fileError(POWER_OFF, path);
      if (!isOpen) throw fileError("EBADF", path);
      return this.#call({ ...effect, path });
    };
    return {
      path,
      read: (buffer, offset, length, position) =>
        call({
          kind: "read",
          begin: () => inode.read(buffer.subarray(offset, offset + length), position),
        }),
      write: (buffer, offset, length, position) => {
        if (mode === "read") throw fileError("EBADF", path);
        const source = buffer.subarray(offset, offset + length);
        return call(this.#writing(inode, source, { position, isDurable, path }));
      },
      sync: () =>
        call({
          kind: "sync",
          begin: () => undefined,
          finish: () => inode.sync(),
          lose: () => inode.forgetDirty(),
        }),
      truncate: (bytes) => call({ kind: "truncate", begin: () => inode.truncate(bytes) }),
      size: () => call({ kind: "size", begin: () => inode.bytes }),
      close: async () => {
        if (!isOpen || life !== this.#life) return;
        const closed = call({ kind: "close", begin: () => undefined });
        isOpen = false;
        await closed;
      },
    };
  }

  #writing(
    inode: FileInode,
    source: Uint8Array,
    at: { position: number; isDurable: boolean; path: string },
  ): Omit<Effect<number>, "path"> {
    const before = new Uint8Array(source);
    return {
      kind: "write",
      begin: (bytesMax) => {
        const bytes = this.#fitting(inode, at.position, Math.min(source.length, bytesMax));
        if (bytes === 0 && source.length > 0) throw fileError("ENOSPC", at.path);
        inode.write(source.subarray(0, bytes), at.position);
        return bytes;
      },
      finish: (bytes) => {
        // The kernel may read the buffer until the call is done: whoever changes it earlier has a bug.
        if (Buffer.compare(before, source) !== 0)
          throw new Error(`buffer changed during a write to ${at.path}`);
        if (at.isDurable) inode.sync({ position: at.position, length: bytes });
      },
      lose: () => inode.forgetDirty(),
    };
  }

  /** How many of these bytes the disk has room for. */
  #fitting(inode: FileInode, position: number, length: number): number {
    if (this.capacityBytes === Infinity || inode.blocksNeeded(position, length) === 0)
      return length;
    const free = Math.floor(this.capacityBytes / BLOCK_BYTES) - this.#tree.allocatedBlocks();
    let fitting = length;
    while (fitting > 0 && inode.blocksNeeded(position, fitting) > free) {
      fitting = Math.max(
        0,
        Math.floor((position + fitting - 1) / BLOCK_BYTES) * BLOCK_BYTES - position,
      );
    }
    return fitting;
  }

  async #call<T>(effect: Effect<T>): Promise<T> {
    const { kind, path } = effect;
    if (!this.#isOn) throw fileError(POWER_OFF, path);
    const life = this.#life;
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    const fault = this.#faults.strike(kind, path);
    if (fault?.what === "error") return this.#failing(effect, fault);
    const begin = (): T => effect.begin(fault?.what === "short" ? fault.bytes : Infinity);
    const value = fault?.what === "power-off" ? this.#lastly(begin) : begin();
    await this.#faults.settling(kind, path);
    if (!this.#isOn || life !== this.#life) throw fileError(POWER_OFF, path);
    effect.finish?.(value);
    return value;
  }

  /** The last call before the power goes, whether it finds what it wants or not. */
  #lastly<T>(begin: () => T): T {
    try {
      return begin();
    } finally {
      this.powerOff();
    }
  }

  async #failing<T>(
    effect: Effect<T>,
    fault: { readonly code: string; readonly effect: FaultEffect },
  ): Promise<T> {
    const life = this.#life;
    const value = fault.effect === "none" ? undefined : { done: effect.begin(Infinity) };
    await this.#faults.settling(effect.kind, effect.path);
    if (!this.#isOn || life !== this.#life) throw fileError(POWER_OFF, effect.path);
    if (fault.effect === "disk" && value !== undefined) effect.finish?.(value.done);
    else effect.lose?.();
    throw fileError(fault.code, effect.path);
  }
}
