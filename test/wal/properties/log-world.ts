/**
 * A log over many lives on a disk that lies, and what was promised to whom.
 *
 * Commands change the world; every opening on a healthy disk is checked against the promises. What damage destroyed
 * is known from the bytes that lay there before, so that a gap can be judged: it must be there, and be no larger.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { OpenedLog } from "../../../src/wal/open-log.ts";
import type { LogOptions } from "../../../src/wal/log-options.ts";
import { type DiskFault, SimulatedDisk } from "../../../src/testing/disk.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import {
  lines,
  MemoryFacts,
  open,
  type ReadBack,
  readBack,
  Scene,
  SEGMENT_BYTES,
} from "../log-scene.ts";
import type { Command, DamageKind, Ending, PlannedBlock } from "./commands.ts";
import {
  entriesOnDisk,
  isIn,
  offsetsAt,
  provenEnd,
  recordsOf,
  type Span,
} from "./entries-on-disk.ts";
import { Strays } from "./strays.ts";

const RECEIVER = "meters";
/** Turns in which a call that depends on no time must have settled. */
const TURNS_MAX = 12;

/** A block as it was handed over. */
interface SentBlock {
  readonly channel: string;
  readonly texts: readonly string[];
  /** Position of the channel after it: the number of the block. */
  readonly number: number;
}

/** How a world is set up. */
export interface WorldOptions {
  readonly seed: number;
  /** Without, nothing survives but the log's own bytes. @defaultValue true */
  readonly hasLedger?: boolean;
  readonly log?: Partial<LogOptions>;
}

export class LogWorld {
  readonly scene: Scene;
  readonly sent: SentBlock[] = [];
  /** Offset -> text: acknowledged, or seen after an opening. */
  readonly promised: Map<number, string> = new Map();
  /** Offsets whose bytes were damaged. */
  readonly destroyed: Span[] = [];
  /** Why appends were refused. */
  readonly refused: string[] = [];
  /** Offsets below may be gone. */
  released = 0;
  #opened: OpenedLog | undefined;
  readonly #options: WorldOptions;
  #highestOffset = -1;
  readonly #positions = new Map<string, number>();
  #isDamaged = false;
  /** A write failed and may be in the system's memory alone: what it held is there until the power goes. */
  #isDoubtful = false;
  readonly #strays: Strays;

  constructor(options: WorldOptions) {
    this.#options = options;
    const clock = new VirtualClock();
    this.scene = new Scene(new SimulatedDisk({ seed: options.seed, clock }), clock);
    this.#strays = new Strays(this.scene.disk);
  }

  get disk(): SimulatedDisk {
    return this.scene.disk;
  }

  /** The log that is open; opens it when there is none. */
  async opened(): Promise<OpenedLog> {
    return (this.#opened ??= await this.#openHealthy());
  }

  /** Carries the commands out, then ends and opens once more. */
  async run(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      await this.carryOut(command);
      this.#noteStrays();
    }
    await this.reopen("power");
  }

  async carryOut(command: Command): Promise<void> {
    switch (command.kind) {
      case "append":
        return await this.append(command.blocks);
      case "idle":
        await this.opened();
        return await this.scene.clock.advance(command.ms);
      case "release":
        return await this.release(command.share);
      case "read":
        return await this.read();
      case "reopen":
        return await this.reopen(command.ending);
      case "troubled-open":
        return await this.troubledOpen(command.faults);
      case "trouble":
        await this.opened();
        return this.#inject(command.faults);
      case "damage":
        await this.opened();
        return this.damage(command.what);
      case "stray":
        await this.opened();
        return this.#strays.begin(command.nth);
      case "full":
        await this.opened();
        this.disk.capacityBytes = 0;
        return;
      case "room":
        this.disk.capacityBytes = Infinity;
        return await this.scene.clock.settle();
    }
  }

  async append(blocks: readonly PlannedBlock[]): Promise<void> {
    const { log } = await this.opened();
    const stored = blocks.map(({ channel, sizes }) => {
      const number = this.sent.length + 1;
      const texts = sizes.map((size, index) => `${number}.${index} ${"x".repeat(size)}`);
      const block = { channel, texts, number };
      this.sent.push(block);
      const position = Buffer.from(String(number));
      return log.append(lines(texts, { channel, position }), { receiver: RECEIVER, epoch: 1 }).then(
        ({ firstOffset }) => this.#promise(block, firstOffset),
        (cause: unknown) => void this.refused.push(String(cause)),
      );
    });
    await this.settled(Promise.allSettled(stored));
  }

  #noteStrays(): void {
    const { promised, released } = this;
    const channels = this.sent.map(({ channel }) => channel);
    const destroyed = this.#strays.destroyed({ promised, released, channels });
    if (destroyed === undefined) return;
    this.destroyed.push(...destroyed);
    this.#isDamaged = true;
  }

  #promise({ channel, texts, number }: SentBlock, firstOffset: number): void {
    ok(
      firstOffset > this.#highestOffset,
      `offset ${firstOffset} was used up to ${this.#highestOffset}\n${this.explain()}`,
    );
    this.#highestOffset = firstOffset + texts.length - 1;
    for (const [index, text] of texts.entries()) this.promised.set(firstOffset + index, text);
    this.#positions.set(channel, number);
    const span = { from: firstOffset, to: firstOffset + texts.length };
    this.destroyed.push(...this.#strays.stored(channel, span));
  }

  async release(share: number): Promise<void> {
    const { log } = await this.opened();
    const upTo = Math.floor(share * log.durableEnd);
    this.released = Math.max(this.released, upTo);
    await this.settled(log.release(upTo).catch(() => undefined));
  }

  /** Reads everything that is durable: no item may be beyond it, nothing may be changed. */
  async read(): Promise<void> {
    const opened = await this.opened();
    if (opened.log.status().state === "closed") return;
    const from = opened.log.status().oldestOffset;
    const found = await this.settled(readBack(opened, from).catch(() => undefined));
    if (found !== undefined) this.#checkRecords(from, found);
  }

  /** The process ends; the next opening is on a healthy disk, and is checked. */
  async reopen(ending: Ending): Promise<void> {
    await this.end(ending);
    await this.opened();
  }

  async end(ending: Ending): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (ending === "close" && opened !== undefined)
      await this.settled(opened.log.close().catch(() => undefined));
    this.#noteStrays();
    this.#strays.end();
    if (ending === "power" || !this.disk.isOn) {
      this.scene.crash();
      this.#isDoubtful = false;
    } else {
      this.scene.kill();
    }
    if (this.#options.hasLedger === false) this.scene.facts = new MemoryFacts();
  }

  async troubledOpen(faults: readonly DiskFault[]): Promise<void> {
    await this.end("kill");
    this.#noteDoubtful();
    this.#inject(faults);
    await this.settled(this.#open().catch(() => undefined));
    await this.reopen("power");
  }

  /** An opening nobody sees may build upon what is in the system's memory alone: it was never acknowledged. */
  #noteDoubtful(): void {
    if (!this.#isDoubtful) return;
    for (const { from, to } of recordsOf(entriesOnDisk(this.disk)))
      for (let offset = from; offset < to; offset += 1)
        if (!this.promised.has(offset)) this.destroyed.push({ from: offset, to: offset + 1 });
  }

  /** Damages what is at rest, and notes whose bytes it was. */
  damage(what: DamageKind): void {
    const entries = entriesOnDisk(this.disk);
    if (what !== "lost-file") {
      const damage = this.disk.damage(what, "/seg-");
      if (damage !== undefined) this.destroyed.push(...offsetsAt(entries, damage));
      this.#isDamaged ||= damage !== undefined;
      return;
    }
    // Not the newest: what goes to a file without a name is lost whatever a log does.
    const older = entries.filter(({ path }) => path !== entries.at(-1)?.path);
    const path = older.at(this.sent.length % Math.max(1, older.length))?.path;
    if (path === undefined) return;
    this.destroyed.push(...offsetsAt(entries, { path, position: 0, bytes: Infinity }));
    this.disk.take(path);
    this.#isDamaged = true;
  }

  /** What a promise came to, or undefined when it does not settle without time. */
  async settled<Value>(promise: Promise<Value>): Promise<Value | undefined> {
    const results: PromiseSettledResult<Value>[] = [];
    void Promise.allSettled([promise]).then(([result]) => results.push(result));
    for (let turn = 0; turn < TURNS_MAX && results.length === 0; turn += 1)
      await this.scene.clock.settle();
    const [result] = results;
    if (result?.status === "rejected") throw result.reason;
    return result?.value;
  }

  explain(): string {
    return this.disk.explain();
  }

  #inject(faults: readonly DiskFault[]): void {
    for (const fault of faults) this.disk.inject(fault);
    this.#isDoubtful ||= faults.some(({ what }) => what === "error");
  }

  #open(): Promise<OpenedLog> {
    return open(this.scene, {
      bytesMax: 256 * SEGMENT_BYTES,
      witnessAfterMs: 1_000,
      ...this.#options.log,
    });
  }

  async #openHealthy(): Promise<OpenedLog> {
    this.disk.calm();
    this.disk.capacityBytes = Infinity;
    // An entry that went astray is whole, and proves nothing to whoever looks in the right places.
    const found = this.#strays.hasStruck ? [] : entriesOnDisk(this.disk);
    const proven = Math.max(provenEnd(found), this.scene.facts.nextOffsetMin);
    const opened = await this.settled(this.#open());
    ok(opened !== undefined, `the log does not open\n${this.explain()}`);
    await this.#checkOpening(opened, proven);
    return opened;
  }

  async #checkOpening(opened: OpenedLog, proven: number): Promise<void> {
    const { log } = opened;
    // Whoever has not released them reads from there: what is lost in front is a gap too.
    const from = Math.min(log.status().oldestOffset, this.released);
    const found = await this.settled(readBack(opened, from));
    ok(found !== undefined, `reading does not end\n${this.explain()}`);
    // The last entry that nothing proves: damage to it looks like a write that was torn.
    for (const offset of this.promised.keys())
      if (offset >= log.durableEnd && offset >= proven && isIn(offset, this.destroyed))
        this.promised.delete(offset);
    this.#checkRecords(from, found);
    for (const { from: start, to } of found.gaps)
      for (let offset = start; offset < to; offset += 1)
        ok(isIn(offset, this.scene.told.gaps), `${offset} is lost untold\n${this.explain()}`);
    this.#checkPositions(opened, from, found.texts);
    this.#highestOffset = Math.max(...this.promised.keys(), -1);
  }

  /** Promised records are there or in a gap that damage explains; blocks are whole; nothing else is there. */
  #checkRecords(from: number, found: ReadBack): void {
    const { gaps } = found;
    const why = (): string => this.explain();
    const byOffset = textsByOffset(from, found);
    // What was released may go at any time, under a reader too.
    for (const gap of gaps)
      for (let offset = Math.max(gap.from, this.released); offset < gap.to; offset += 1)
        ok(isIn(offset, this.destroyed), `${offset} is in a gap and was not destroyed\n${why()}`);
    for (const [offset, text] of this.promised)
      if (offset >= from && !isIn(offset, gaps))
        equal(byOffset.get(offset), text, `offset ${offset}\n${why()}`);
    this.#checkBlocks(byOffset);
    for (const [offset, text] of byOffset) {
      if (!this.#isDoubtful) this.promised.set(offset, text);
      else if (!this.promised.has(offset)) this.destroyed.push({ from: offset, to: offset + 1 });
    }
  }

  /** Every record is one that was sent, once, with its whole block around it unless that was released or destroyed. */
  #checkBlocks(byOffset: ReadonlyMap<number, string>): void {
    const seen = new Set<string>();
    for (const [offset, text] of byOffset) {
      ok(!seen.has(text), `${text.slice(0, 20)} is there twice\n${this.explain()}`);
      seen.add(text);
      const [number, index] = text.split(" ", 1)[0]?.split(".").map(Number) ?? [];
      const block = this.sent[(number ?? 0) - 1];
      equal(block?.texts[index ?? 0], text, `a record that was never sent\n${this.explain()}`);
      const end = offset - (index ?? 0) + (block?.texts.length ?? 0);
      for (let other = offset; other < end; other += 1)
        ok(
          byOffset.has(other) || isIn(other, this.destroyed),
          `half of block ${number} is there\n${this.explain()}`,
        );
    }
  }

  /** Positions are those of the newest stored blocks, also of blocks that were released long ago. */
  #checkPositions({ log }: OpenedLog, oldest: number, texts: readonly string[]): void {
    if (this.#isDamaged) return;
    for (const [channel, acknowledged] of this.#positions) {
      const bytes = log.position(RECEIVER, channel);
      const position = Number(Buffer.from(bytes ?? []).toString());
      ok(
        position >= acknowledged,
        `channel ${channel}: position ${position}, acknowledged ${acknowledged}, oldest ${oldest}\n${this.explain()}`,
      );
      if (position === acknowledged || this.#isDoubtful) continue;
      const block = this.sent[position - 1];
      deepEqual([block?.channel, texts.includes(block?.texts[0] ?? "")], [channel, true]);
      this.#positions.set(channel, position);
    }
  }
}

function textsByOffset(from: number, { texts, gaps }: ReadBack): ReadonlyMap<number, string> {
  const byOffset = new Map<number, string>();
  const rest = [...texts];
  let next = from;
  for (const gap of [...gaps, { from: Infinity, to: Infinity }]) {
    for (; next < gap.from && rest.length > 0; next += 1) byOffset.set(next, rest.shift() ?? "");
    next = gap.to;
  }
  return byOffset;
}
