/**
 * A log on a disk in memory, small enough that a few records fill a segment.
 */
import type {
  GapReason,
  LogFacts,
  LogFloor,
  LogGap,
  LogListener,
  LogState,
  SegmentCut,
} from "../../src/contract/log.ts";
import type { RecordBlock, Stored } from "../../src/contract/record.ts";
import { valueOf } from "../../src/contract/record.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import type { LogOptions } from "../../src/wal/log-options.ts";
import { openLog, type OpenedLog } from "../../src/wal/open-log.ts";
import type { FileHandle, Files } from "../../src/host/files.ts";
import { type Keep, SimulatedDisk } from "../../src/testing/disk.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";

export const DIRECTORY = "/data/log";
/** Room for 14 entries of one block each. */
export const SEGMENT_BYTES: number = 64 * 1024;
export const UUID: Uint8Array = new Uint8Array(16).fill(7);

/** Facts that outlast every crash: what a ledger would keep. */
export class MemoryFacts implements LogFacts {
  nextOffsetMin = 0;
  segmentIdMax = 0;
  floor: LogFloor | undefined;
  cuts: SegmentCut[] = [];
  gaps: LogGap[] = [];
  /** Rejections of the next calls, in order. */
  readonly failures: Error[] = [];
  isFenced: Error | undefined;

  addCut(cut: SegmentCut): Promise<void> {
    return this.#unlessFailing(() => {
      this.cuts.push(cut);
      this.segmentIdMax = Math.max(this.segmentIdMax, cut.segmentId);
      this.nextOffsetMin = Math.max(this.nextOffsetMin, cut.endOffset);
    });
  }

  addGap(gap: LogGap): Promise<void> {
    return this.#unlessFailing(() => {
      this.gaps.push(gap);
      this.nextOffsetMin = Math.max(this.nextOffsetMin, gap.to);
    });
  }

  moveFloor(floor: LogFloor): Promise<void> {
    return this.#unlessFailing(() => {
      this.floor = floor;
      this.segmentIdMax = Math.max(this.segmentIdMax, floor.segmentId);
      this.nextOffsetMin = Math.max(this.nextOffsetMin, floor.offset);
      this.cuts = this.cuts.filter((cut) => cut.segmentId >= floor.segmentId);
      this.gaps = this.gaps.filter((gap) => gap.to > floor.offset);
    });
  }

  /** The same facts once more, on their own. */
  copy(): MemoryFacts {
    const { cuts, floor, gaps, nextOffsetMin, segmentIdMax } = this;
    const facts = { cuts, floor, gaps, nextOffsetMin, segmentIdMax };
    return Object.assign(new MemoryFacts(), structuredClone(facts));
  }

  assertOwner(): Promise<void> {
    return this.isFenced === undefined ? Promise.resolve() : Promise.reject(this.isFenced);
  }

  #unlessFailing(act: () => void): Promise<void> {
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    act();
    return Promise.resolve();
  }
}

/** Everything a log told. */
export class Told implements LogListener {
  readonly states: LogState[] = [];
  readonly gaps: LogGap[] = [];
  readonly pressures: boolean[] = [];
  readonly commits: {
    readonly recordCount: number;
    readonly bytes: number;
    readonly durableEnd: number;
  }[] = [];
  readonly copies: string[] = [];

  committed(commit: {
    readonly recordCount: number;
    readonly bytes: number;
    readonly durableEnd: number;
  }): void {
    this.commits.push(commit);
  }

  stateChanged(state: LogState): void {
    this.states.push(state);
  }

  gap(gap: LogGap): void {
    this.gaps.push(gap);
  }

  pressure(full: boolean): void {
    this.pressures.push(full);
  }

  quarantined({ file }: { readonly file: string }): void {
    this.copies.push(file);
  }
}

/**
 * The disk as one process sees it: once that is dead, what is left of it in memory reaches the disk
 * no more.
 */
function filesOfProcess(disk: SimulatedDisk, isAlive: () => boolean): Files {
  const live = <Result>(call: () => Promise<Result>): Promise<Result> =>
    isAlive() ? call() : new Promise(() => undefined);
  const handleOf = (handle: FileHandle): FileHandle => ({
    path: handle.path,
    read: (...call) => live(() => handle.read(...call)),
    write: (...call) => live(() => handle.write(...call)),
    sync: () => live(() => handle.sync()),
    truncate: (bytes) => live(() => handle.truncate(bytes)),
    size: () => live(() => handle.size()),
    close: () => live(() => handle.close()),
  });
  return {
    open: (path, mode) => live(async () => handleOf(await disk.open(path, mode))),
    makeDirectory: (path) => live(() => disk.makeDirectory(path)),
    list: (path) => live(() => disk.list(path)),
    rename: (from, to) => live(() => disk.rename(from, to)),
    remove: (path) => live(() => disk.remove(path)),
    syncDirectory: (path) => live(() => disk.syncDirectory(path)),
    readFile: (path) => live(() => disk.readFile(path)),
    stat: (path) => live(() => disk.stat(path)),
    fileSystem: (path) => live(() => disk.fileSystem(path)),
  };
}

/** A scene: disk, clock and facts stay over reopenings. */
export class Scene {
  readonly disk: SimulatedDisk;
  readonly clock: VirtualClock;
  facts: MemoryFacts = new MemoryFacts();
  readonly told: Told = new Told();
  #life = 0;

  constructor(disk: SimulatedDisk, clock: VirtualClock = new VirtualClock()) {
    this.disk = disk;
    this.clock = clock;
  }

  files(): Files {
    this.#life += 1;
    const life = this.#life;
    return filesOfProcess(this.disk, () => life === this.#life);
  }

  /**
   * The process is killed; what it had not synced is still in the system's memory, and a later
   * power cut takes it.
   */
  kill(): void {
    this.#life += 1;
  }

  /** A power cut: "all" keeps what was written, "none" only what was synced; without a word the disk's seed decides. */
  crash(keep?: Keep): void {
    this.#life += 1;
    this.disk.crash(keep === undefined ? {} : { keep });
  }
}

export function newScene(disk: SimulatedDisk = new SimulatedDisk()): Scene {
  return new Scene(disk);
}

export function open(scene: Scene, options: Partial<LogOptions> = {}): Promise<OpenedLog> {
  const { clock, facts, told } = scene;
  const base = {
    directory: DIRECTORY,
    clock,
    files: options.files ?? scene.files(),
    random: createSeededRandom(1),
    listener: told,
    facts,
    logUuid: UUID,
  };
  return openLog({
    ...base,
    segmentBytes: SEGMENT_BYTES,
    bytesMax: 64 * SEGMENT_BYTES,
    witnessAfterMs: 0,
    ...options,
  });
}

/** A block of lines with their newline, as a TCP receiver hands them over. */
export function lines(texts: readonly string[], more: Partial<RecordBlock> = {}): RecordBlock {
  const values = Buffer.from(texts.map((text) => `${text}\n`).join(""));
  const valueEnds = new Uint32Array(texts.length);
  let end = 0;
  for (const [index, text] of texts.entries())
    valueEnds[index] = end += Buffer.byteLength(text) + 1;
  return {
    count: texts.length,
    values,
    valuesStart: 0,
    valueEnds,
    delimiterBytes: 1,
    channel: "",
    ...more,
  };
}

export function store(
  { log }: OpenedLog,
  texts: readonly string[],
  more: Partial<RecordBlock> = {},
): Promise<Stored> {
  return log.append(lines(texts, more), { receiver: "meters", epoch: 1 });
}

/** Each text in an entry of its own. */
export async function storeEach(opened: OpenedLog, texts: readonly string[]): Promise<void> {
  for (const text of texts) await store(opened, [text]);
}

export function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `record ${from + index}`);
}

/** What reading gave, as plain values. */
export interface ReadBack {
  readonly texts: readonly string[];
  readonly gaps: readonly {
    readonly from: number;
    readonly to: number;
    readonly reason: GapReason;
  }[];
}

/** Reads a range and checks that items meet without holes or overlap. */
export async function readBack(
  { log }: OpenedLog,
  from: number = log.status().oldestOffset,
  to: number = log.durableEnd,
): Promise<ReadBack> {
  const texts: string[] = [];
  const gaps: ReadBack["gaps"][number][] = [];
  let next = from;
  for await (const item of log.read({ from, to }, new AbortController().signal)) {
    const start = item.kind === "gap" ? item.from : item.block.firstOffset;
    if (start !== next) throw new Error(`an item begins at ${start}, expected ${next}`);
    if (item.kind === "gap") {
      gaps.push({ from: item.from, to: item.to, reason: item.reason });
      next = item.to;
      continue;
    }
    next += item.block.count;
    for (let index = 0; index < item.block.count; index += 1)
      texts.push(Buffer.from(valueOf(item.block, index)).toString());
  }
  if (next !== to) throw new Error(`reading ended at ${next}, expected ${to}`);
  return { texts, gaps };
}

/** Paths of the log's segment files, oldest first. */
export function segmentPaths({ disk }: Scene): string[] {
  return disk.paths().filter((path) => path.startsWith(`${DIRECTORY}/seg-`));
}
