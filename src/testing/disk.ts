/**
 * A disk in memory that keeps only what was synced, and lies as disks do. It implements `Files`, so whatever is given
 * a host's files can be tested on it.
 *
 * ```ts
 * const disk = new SimulatedDisk({ seed: 7 });
 * disk.inject({ what: "error", code: "EIO", kind: "write", path: "/log/", rate: 0.01, effect: "any" });
 * await work(disk);
 * disk.crash(); // a power cut: of what was not synced any part is kept, blocks torn at any byte
 * await check(disk); // disk.explain() says what struck
 * ```
 * Calls take effect in the cache when they are made and settle a microtask later, so runs are deterministic: one seed
 * and one order of calls give the same faults. Data and directory entries are synced apart from each other.
 */
import type { Clock } from "../host/clock.ts";
import type {
  DirectoryEntry,
  FileHandle,
  Files,
  FileStat,
  FileSystem,
  OpenMode,
} from "../host/files.ts";
import { type DiskDamage, damageSomewhere, randomKeep, strayPosition } from "./disk-damage.ts";
import { DiskCalls, type DiskEffect, POWER_OFF } from "./disk-calls.ts";
import type { CallKind, CallMatch, DiskFault, Hold } from "./disk-faults.ts";
import { BLOCK_BYTES, type FileInode } from "./disk-inode.ts";
import {
  DiskTree,
  fileError,
  type Keep,
  normalPath,
  parentOf,
  type UnsyncedItem,
} from "./disk-tree.ts";
import { createSeededRandom, type SeededRandom } from "./seeded-random.ts";

export { POWER_OFF } from "./disk-calls.ts";
export type { DiskDamage } from "./disk-damage.ts";
export type {
  CallKind,
  CallMatch,
  DiskFault,
  FaultAction,
  FaultEffect,
  FaultSchedule,
  Hold,
} from "./disk-faults.ts";
export {
  BLOCK_BYTES,
  type PartFate,
  SECTOR_BYTES,
  type TornBlock,
  VERSIONS_MAX,
} from "./disk-inode.ts";
export type { Keep, UnsyncedItem } from "./disk-tree.ts";

/** Options of a disk. */
export interface SimulatedDiskOptions {
  /** What faults and power cuts are drawn from. @defaultValue 1 */
  readonly seed?: number;
  /** @defaultValue Infinity */
  readonly capacityBytes?: number;
  /** What `fileSystem` says. @defaultValue "ext4" */
  readonly type?: string;
  /** For faults that are `slow`. @defaultValue they take no time */
  readonly clock?: Pick<Clock, "after">;
}

/** A disk for tests. */
export class SimulatedDisk implements Files {
  /** Blocks beyond this are refused with ENOSPC, after as many as fit. */
  capacityBytes: number;
  readonly #options: SimulatedDiskOptions;
  readonly #random: SeededRandom;
  readonly #calls: DiskCalls;
  #tree = new DiskTree();
  readonly #damages: DiskDamage[] = [];
  /** Calls that need space and find none. */
  #noSpaceCalls = 0;

  constructor(options: SimulatedDiskOptions = {}) {
    this.#options = options;
    this.capacityBytes = options.capacityBytes ?? Infinity;
    this.#random = createSeededRandom(options.seed ?? 1);
    this.#calls = new DiskCalls({
      random: this.#random,
      clock: options.clock,
      damage: (what, path) => void this.damage(what, path),
    });
  }

  /** Calls made since the last crash. */
  callCount(kind?: CallKind): number {
    return this.#calls.count(kind);
  }

  /** Sets a fault, until it has struck as often as it may, {@link calm}, or a crash. */
  inject(fault: DiskFault): void {
    this.#calls.faults.add(fault);
  }

  /** No fault strikes from now on; damage stays, held calls too. */
  calm(): void {
    this.#calls.faults.calm();
    this.#noSpaceCalls = 0;
  }

  /** Damages one place of one file whose path contains `path`, now. Undefined when there is no such file. */
  damage(what: "bit-flip" | "zeroed-sector", path = ""): DiskDamage | undefined {
    const damage = damageSomewhere(this.#tree, this.#random, { what, path });
    if (damage !== undefined) this.#damages.push(damage);
    return damage;
  }

  /** Everything that is not what was written there, in the order in which it came. Moves and removals are not followed. */
  damages(): readonly DiskDamage[] {
    return this.#damages;
  }

  /** The seed and the newest faults that struck, for the message of a failed test. */
  explain(): string {
    return [`disk with seed ${this.#random.seed}`, ...this.#calls.strikes].join("\n");
  }

  /** False from a power cut to the next {@link crash}, which brings the power back. */
  get isOn(): boolean {
    return this.#calls.isOn;
  }

  /** The power goes: all calls fail until {@link crash} decides what is left. */
  powerOff(): void {
    this.#calls.powerOff();
  }

  /** From now on matching calls change the cache and then wait. */
  hold(match: CallMatch): Hold {
    return this.#calls.faults.hold(match);
  }

  /** What a power cut now may or may not keep, in a fixed order. */
  unsynced(): readonly UnsyncedItem[] {
    return this.#tree.unsynced();
  }

  /**
   * Power cut (`keep: "all"` is a killed process), then power on again: no faults, no holds, no open files.
   * Without `keep` the seed decides: any subset of what was not synced, blocks torn at any byte or sector.
   */
  crash(options: { readonly keep?: Keep } = {}): void {
    this.powerOff();
    this.#tree.crash(options.keep ?? randomKeep(this.#random));
    this.#calls.powerOn();
    this.#noSpaceCalls = 0;
  }

  /** The same disk once more, without open files, faults and holds. */
  clone(): SimulatedDisk {
    const twin = new SimulatedDisk({ ...this.#options, capacityBytes: this.capacityBytes });
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
    return this.#calls.run({ kind: creates ? "create" : "open", path, begin });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#calls.run({
      kind: "makeDirectory",
      path,
      begin: () => this.#tree.makeDirectory(path),
    });
  }

  list(path: string): Promise<readonly DirectoryEntry[]> {
    const begin = (): DirectoryEntry[] => {
      const names = [...this.#tree.directory(path).cache.keys()].toSorted();
      return names.map((name) => ({
        name,
        kind: this.#tree.find(`${path}/${name}`)?.kind ?? "other",
      }));
    };
    return this.#calls.run({ kind: "list", path, begin });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#calls.run({ kind: "rename", path: to, begin: () => this.#tree.rename(from, to) });
  }

  remove(path: string): Promise<void> {
    return this.#calls.run({ kind: "remove", path, begin: () => this.#tree.remove(path) });
  }

  syncDirectory(path: string): Promise<void> {
    const finish = (): void => this.#tree.syncDirectory(path);
    return this.#calls.run({
      kind: "syncDirectory",
      path,
      begin: () => void this.#tree.directory(path),
      finish,
    });
  }

  readFile(path: string): Promise<Uint8Array> {
    return this.#calls.run({ kind: "readFile", path, begin: () => this.contents(path) });
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
    return this.#calls.run({ kind: "stat", path, begin });
  }

  fileSystem(path: string): Promise<FileSystem> {
    const begin = (): FileSystem => {
      const usedBytes = this.#tree.allocatedBlocks() * BLOCK_BYTES;
      return {
        type: this.#options.type ?? "ext4",
        freeBytes: Math.max(0, this.capacityBytes - usedBytes),
        totalBytes: this.capacityBytes,
      };
    };
    return this.#calls.run({ kind: "fileSystem", path, begin });
  }

  #handle(path: string, inode: FileInode, mode: OpenMode): FileHandle {
    const { life } = this.#calls;
    const isDurable = mode === "write-durable" || mode === "create-durable";
    let isOpen = true;
    const call = async <T>(effect: Omit<DiskEffect<T>, "path">): Promise<T> => {
      if (life !== this.#calls.life) throw fileError(POWER_OFF, path);
      if (!isOpen) throw fileError("EBADF", path);
      return this.#calls.run({ ...effect, path });
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
        if (!isOpen || life !== this.#calls.life) return;
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
  ): Omit<DiskEffect<number>, "path"> {
    const before = new Uint8Array(source);
    let landedAt = at.position;
    return {
      kind: "write",
      begin: (fault) => {
        if (fault?.what === "no-space") this.#noSpaceCalls = fault.calls;
        const wanted =
          fault?.what === "short-write" ? this.#shortened(source, fault.bytes) : source;
        const bytes = this.#fitting(inode, at.position, wanted.length);
        if (bytes === 0 && source.length > 0) throw fileError("ENOSPC", at.path);
        if (fault?.what === "misdirected-write") landedAt = this.#stray(inode, { ...at, bytes });
        inode.write(source.subarray(0, bytes), landedAt);
        return bytes;
      },
      finish: (bytes) => {
        // The kernel may read the buffer until the call is done: whoever changes it earlier has a bug.
        if (Buffer.compare(before, source) !== 0)
          throw new Error(`buffer changed during a write to ${at.path}`);
        if (at.isDurable) inode.sync({ position: landedAt, length: bytes });
      },
      lose: () => inode.forgetDirty(),
    };
  }

  #shortened(source: Uint8Array, bytes: number | undefined): Uint8Array {
    return source.subarray(0, bytes ?? this.#random.integer(0, Math.max(0, source.length - 1)));
  }

  /** Where a misdirected write lands. */
  #stray(
    inode: FileInode,
    { path, position, bytes }: { path: string; position: number; bytes: number },
  ): number {
    const stray = strayPosition(inode, this.#random, { position, length: bytes });
    if (stray === position) return position;
    // It may have been renamed since it was opened.
    const name = this.#tree.paths().find((each) => this.#tree.file(each) === inode) ?? path;
    this.#damages.push(
      { what: "missing-write", path: name, position, bytes },
      { what: "misdirected-write", path: name, position: stray, bytes },
    );
    return stray;
  }

  /** How many of these bytes the disk has room for. */
  #fitting(inode: FileInode, position: number, length: number): number {
    if (inode.blocksNeeded(position, length) === 0) return length;
    if (this.#noSpaceCalls > 0) {
      this.#noSpaceCalls -= 1;
      return 0;
    }
    if (this.capacityBytes === Infinity) return length;
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
}
