/**
 * What the simulated disk does to bytes on its own: damage at rest, writes that go astray, and what a power cut leaves.
 */
import { BLOCK_BYTES, type FileInode, SECTOR_BYTES } from "./disk-inode.ts";
import type { DiskTree, Keep } from "./disk-tree.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** Bytes that are not what was written there. */
export interface DiskDamage {
  readonly what: "bit-flip" | "zeroed-sector" | "misdirected-write" | "missing-write";
  readonly path: string;
  readonly position: number;
  readonly bytes: number;
}

/** Power cuts that keep nothing, little, half, much and all. */
const KEPT_SHARES: readonly number[] = [0, 0.2, 0.5, 0.8, 1];
/** Share of kept blocks that are torn. */
const TORN_SHARE = 0.3;
const SECTORS_MASK: number = 2 ** (BLOCK_BYTES / SECTOR_BYTES) - 1;

/** A power cut of which the generator decides what it keeps: any subset, blocks torn at any byte or sector. */
export function randomKeep(random: SeededRandom): Keep {
  const share = random.pick(KEPT_SHARES);
  return (item) => {
    if (!random.chance(share)) return false;
    if (item.kind !== "block" || !random.chance(TORN_SHARE)) return true;
    const version = random.integer(0, item.versions - 1);
    return random.chance(0.5)
      ? { version, bytes: random.integer(1, BLOCK_BYTES) }
      : { version, sectors: random.integer(1, SECTORS_MASK) };
  };
}

/** Damages one place of one file whose path contains `path`; undefined when there is none with bytes in it. */
export function damageSomewhere(
  tree: DiskTree,
  random: SeededRandom,
  { what, path = "" }: { readonly what: "bit-flip" | "zeroed-sector"; readonly path?: string },
): DiskDamage | undefined {
  const paths = tree
    .paths()
    .filter((each) => each.includes(path) && tree.file(each).allocatedBlocks > 0);
  if (paths.length === 0) return undefined;
  const chosen = random.pick(paths);
  const file = tree.file(chosen);
  const position = random.integer(0, file.bytes - 1);
  return what === "bit-flip"
    ? flipBit(file, chosen, { position, bit: random.integer(0, 7) })
    : zeroSector(file, chosen, position);
}

function flipBit(
  file: FileInode,
  path: string,
  { position, bit }: { readonly position: number; readonly bit: number },
): DiskDamage {
  const byte = new Uint8Array(1);
  file.read(byte, position);
  file.damage(position, Uint8Array.of((byte[0] ?? 0) ^ (1 << bit)));
  return { what: "bit-flip", path, position, bytes: 1 };
}

function zeroSector(file: FileInode, path: string, near: number): DiskDamage {
  const position = Math.floor(near / SECTOR_BYTES) * SECTOR_BYTES;
  const bytes = Math.min(SECTOR_BYTES, file.bytes - position);
  file.damage(position, new Uint8Array(bytes));
  return { what: "zeroed-sector", path, position, bytes };
}

/** A sector of the file where a write of `length` bytes for `position` lands instead. */
export function strayPosition(
  file: FileInode,
  random: SeededRandom,
  { position, length }: { readonly position: number; readonly length: number },
): number {
  const end = Math.max(file.bytes, position + length);
  const sectors = Math.floor((end - length) / SECTOR_BYTES);
  const stray = random.integer(0, Math.max(0, sectors)) * SECTOR_BYTES;
  return stray === position ? Math.max(0, position - SECTOR_BYTES) : stray;
}
