/**
 * Content of one file or directory of the simulated disk, twice: as programs see it (cache) and as it
 * would be found after a power cut (platter). Blocks are never changed in place, so copies are cheap.
 */

/** What the cache of the system holds or drops as one. */
export const BLOCK_BYTES = 4096;
/** What a drive writes whole, if it keeps its promise. */
export const SECTOR_BYTES = 512;
/** Contents of one block since the last sync that a power cut may bring back; older ones are forgotten. */
export const VERSIONS_MAX = 4;

const ZERO_BUFFER = Buffer.alloc(BLOCK_BYTES);
const ZERO_BLOCK: Uint8Array = ZERO_BUFFER;

/** One content of a file: its length and the blocks that are allocated; others read as zeros. */
interface Content {
  bytes: number;
  readonly blocks: Map<number, Uint8Array>;
}

function copyOf(content: Content): Content {
  return { bytes: content.bytes, blocks: new Map(content.blocks) };
}

/** A part of a file whose cache and platter differ. */
export type UnsyncedPart =
  /** `versions`: contents it had since it was last durable, the newest included. */
  | { readonly kind: "block"; readonly blockIndex: number; readonly versions: number }
  | { readonly kind: "size"; readonly bytes: number };

/** How a block reaches the platter that does not reach it whole; the rest stays as it was there. */
export interface TornBlock {
  /** 0 for the oldest of `versions`. @defaultValue the newest */
  readonly version?: number;
  /** Only bytes below. @defaultValue all */
  readonly bytes?: number;
  /** Only these sectors, bit 0 for the first. @defaultValue all */
  readonly sectors?: number;
}

/** What a power cut does with an unsynced part: a size is kept or not, a block also in parts. */
export type PartFate = boolean | TornBlock;

/** A regular file. */
export class FileInode {
  readonly kind = "file" as const;
  readonly id: number;
  #cache: Content = { bytes: 0, blocks: new Map() };
  #platter: Content = { bytes: 0, blocks: new Map() };
  /** Blocks that the next sync writes. */
  #dirty = new Set<number>();
  /** What dirty blocks held before their newest content. */
  #older = new Map<number, readonly Uint8Array[]>();

  constructor(id: number) {
    this.id = id;
  }

  get bytes(): number {
    return this.#cache.bytes;
  }

  get allocatedBlocks(): number {
    return this.#cache.blocks.size;
  }

  /** How many blocks a write of this range would newly take. */
  blocksNeeded(position: number, length: number): number {
    let needed = 0;
    for (const index of blockIndexes(position, length))
      if (!this.#cache.blocks.has(index)) needed += 1;
    return needed;
  }

  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.length, this.#cache.bytes - position));
    for (const index of blockIndexes(position, length)) {
      const block = this.#cache.blocks.get(index) ?? ZERO_BLOCK;
      const from = Math.max(position, index * BLOCK_BYTES);
      const to = Math.min(position + length, (index + 1) * BLOCK_BYTES);
      target.set(
        block.subarray(from - index * BLOCK_BYTES, to - index * BLOCK_BYTES),
        from - position,
      );
    }
    return length;
  }

  write(source: Uint8Array, position: number): void {
    for (const index of blockIndexes(position, source.length)) {
      const start = index * BLOCK_BYTES;
      const from = Math.max(position, start);
      const to = Math.min(position + source.length, start + BLOCK_BYTES);
      this.#remember(index);
      this.#cache.blocks.set(
        index,
        this.#blockWith(index, from - start, source.subarray(from - position, to - position)),
      );
      this.#dirty.add(index);
    }
    this.#cache.bytes = Math.max(this.#cache.bytes, position + source.length);
  }

  truncate(bytes: number): void {
    for (const index of this.#cache.blocks.keys()) {
      if (index * BLOCK_BYTES < bytes) continue;
      this.#cache.blocks.delete(index);
      this.#dirty.add(index);
    }
    const tail = bytes % BLOCK_BYTES;
    const last = this.#cache.blocks.get(Math.floor(bytes / BLOCK_BYTES));
    if (tail !== 0 && last !== undefined && bytes < this.#cache.bytes) {
      this.write(new Uint8Array(BLOCK_BYTES - tail), bytes);
    }
    this.#cache.bytes = bytes;
  }

  /** Puts what is dirty on the platter; with a range only the blocks it touches, and the length. */
  sync(range?: { readonly position: number; readonly length: number }): void {
    const indexes =
      range === undefined ? [...this.#dirty] : [...blockIndexes(range.position, range.length)];
    for (const index of indexes) this.#keepBlock(index);
    this.#platter.bytes = this.#cache.bytes;
  }

  /** A sync that failed: the kernel forgets that the pages are dirty, so no later sync writes them. */
  forgetDirty(): void {
    this.#dirty.clear();
    this.#older.clear();
  }

  /** What a power cut now may or may not keep, in order. Pages of a failed sync are lost for certain. */
  unsynced(): UnsyncedPart[] {
    const indexes = [...this.#dirty].filter(
      (index) => this.#cache.blocks.get(index) !== this.#platter.blocks.get(index),
    );
    const blocks = indexes
      .toSorted((a, b) => a - b)
      .map((blockIndex): UnsyncedPart => {
        const versions = 1 + (this.#older.get(blockIndex)?.length ?? 0);
        return { kind: "block", blockIndex, versions };
      });
    return this.#cache.bytes === this.#platter.bytes
      ? blocks
      : [...blocks, { kind: "size", bytes: this.#cache.bytes }];
  }

  /** Carries out a power cut. */
  crash(fateOf: (part: UnsyncedPart) => PartFate): void {
    for (const part of this.unsynced()) {
      const fate = fateOf(part);
      if (fate === false) continue;
      if (part.kind === "size") this.#platter.bytes = part.bytes;
      else if (fate === true) this.#keepBlock(part.blockIndex);
      else this.#keepTorn(part.blockIndex, fate);
    }
    for (const index of this.#platter.blocks.keys()) {
      if (index * BLOCK_BYTES >= this.#platter.bytes) this.#platter.blocks.delete(index);
    }
    this.#cache = copyOf(this.#platter);
    this.forgetDirty();
  }

  /** Changes content at rest: cache and platter become the same. */
  replace(bytes: Uint8Array): void {
    this.truncate(0);
    this.write(bytes, 0);
    this.sync();
  }

  /** Changes bytes at rest: in the cache as on the platter, whatever else is dirty. */
  damage(position: number, bytes: Uint8Array): void {
    const index = Math.floor(position / BLOCK_BYTES);
    for (const content of [this.#cache, this.#platter]) {
      const block = new Uint8Array(content.blocks.get(index) ?? ZERO_BLOCK);
      block.set(bytes, position - index * BLOCK_BYTES);
      content.blocks.set(index, block);
    }
  }

  copy(): FileInode {
    const twin = new FileInode(this.id);
    twin.#cache = copyOf(this.#cache);
    twin.#platter = copyOf(this.#platter);
    twin.#dirty = new Set(this.#dirty);
    twin.#older = new Map(this.#older);
    return twin;
  }

  /** The block as it is after these bytes; one of zeros shares its memory with all others. */
  #blockWith(index: number, at: number, bytes: Uint8Array): Uint8Array {
    if (bytes.length === BLOCK_BYTES && ZERO_BUFFER.equals(bytes)) return ZERO_BLOCK;
    const block =
      bytes.length === BLOCK_BYTES
        ? new Uint8Array(bytes)
        : new Uint8Array(this.#cache.blocks.get(index) ?? ZERO_BLOCK);
    if (bytes.length < BLOCK_BYTES) block.set(bytes, at);
    return block;
  }

  /** The content that a write is about to replace, if it is not durable: a power cut may bring it back. */
  #remember(index: number): void {
    const block = this.#cache.blocks.get(index);
    if (block === undefined || !this.#dirty.has(index)) return;
    const older = [...(this.#older.get(index) ?? []), block];
    this.#older.set(index, older.slice(1 - VERSIONS_MAX));
  }

  #keepTorn(index: number, torn: TornBlock): void {
    const versions = [...(this.#older.get(index) ?? []), this.#cache.blocks.get(index)];
    const source = versions[torn.version ?? versions.length - 1] ?? ZERO_BLOCK;
    const block = new Uint8Array(this.#platter.blocks.get(index) ?? ZERO_BLOCK);
    const end = Math.min(torn.bytes ?? BLOCK_BYTES, BLOCK_BYTES);
    for (let from = 0, bit = 0; from < end; from += SECTOR_BYTES, bit += 1) {
      if (((torn.sectors ?? -1) & (1 << bit)) === 0) continue;
      block.set(source.subarray(from, Math.min(from + SECTOR_BYTES, end)), from);
    }
    this.#platter.blocks.set(index, block);
  }

  #keepBlock(index: number): void {
    const block = this.#cache.blocks.get(index);
    if (block === undefined) this.#platter.blocks.delete(index);
    else this.#platter.blocks.set(index, block);
    this.#dirty.delete(index);
    this.#older.delete(index);
  }
}

function* blockIndexes(position: number, length: number): Generator<number> {
  if (length <= 0) return;
  const last = Math.floor((position + length - 1) / BLOCK_BYTES);
  for (let index = Math.floor(position / BLOCK_BYTES); index <= last; index += 1) yield index;
}

/** A change of a directory that a power cut may or may not keep. */
export type EntryChange =
  | { readonly kind: "create"; readonly name: string; readonly inodeId: number }
  | { readonly kind: "remove"; readonly name: string }
  | {
      readonly kind: "rename";
      readonly from: string;
      readonly fromDirectory: string;
      readonly name: string;
      readonly inodeId: number;
    };

/** A directory: names in the cache and on the platter, and the changes between them in order. */
export class DirectoryInode {
  readonly kind = "directory" as const;
  readonly id: number;
  cache: Map<string, number> = new Map();
  platter: Map<string, number> = new Map();
  changes: EntryChange[] = [];

  constructor(id: number) {
    this.id = id;
  }

  copy(): DirectoryInode {
    const twin = new DirectoryInode(this.id);
    twin.cache = new Map(this.cache);
    twin.platter = new Map(this.platter);
    twin.changes = [...this.changes];
    return twin;
  }
}
