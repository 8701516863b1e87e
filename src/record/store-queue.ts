/**
 * The blocks of one connection on their way to the log: in order, whatever the log refuses for the moment.
 *
 * What it promises: blocks are stored in the order in which they were taken; `storedCount` never runs ahead of what is
 * on disk, and never over a block that was refused; what cannot be stored is named where nobody sends it again: set
 * aside, or counted as dropped.
 */
import type { ReceiverContext } from "../contract/receiver.ts";
import type { RecordBlock, Stored } from "../contract/record.ts";
import { codeOf, type HoldfastError, toError } from "../errors.ts";
import type { Cancel } from "../host/clock.ts";
import { copyBlock } from "./copy-block.ts";

/** Pause before a refused block is tried again, where nobody will tell that there is room. */
const RETRY_MS = 10;

/** What a queue needs of the connection it belongs to. */
export interface StoreQueueOwner {
  readonly context: Pick<
    ReceiverContext<unknown>,
    "storeBlock" | "pressure" | "guard" | "clock" | "setAside" | "giveUp" | "dropped"
  >;
  /** Whether the sender sends again what was not acknowledged: then nothing is named. */
  readonly redelivers: boolean;
  /** Between `pause` and `resume` of the engine. */
  readonly isPaused: boolean;
  /** `storedCount` has grown. */
  stored(): void;
  /** A block was refused for good: nothing after it is counted. Called once for each such block. */
  broke(cause: Error): void;
  /** A dead letter is settled: whoever waits for the end may look again. */
  settledOne(): void;
  /** Bytes could not be set aside. */
  lostLetter(byteCount: number, failure: Error): void;
  /** The queue may be `resumed`: nobody else would tell. */
  canResume(): void;
}

/** See above. */
export class StoreQueue {
  readonly #owner: StoreQueueOwner;
  /** Blocks that wait for room, oldest first: at most what had been read when reading stopped. */
  readonly #held: RecordBlock[] = [];
  #heldBytes = 0;
  /** A block was refused: what comes after it may be stored but is never counted. */
  #isBroken = false;
  /**
   * Whether the newest block was taken or is refused as BUSY is known at the end of the turn. Until then nothing behind
   * it is stored: the pressure may fall in between, and it would overtake.
   */
  #isInDoubt = false;
  #wasRefused = false;
  /** Blocks and dead letters on their way to the disk. */
  #pendingCount = 0;
  #storedCount = 0;
  #retryTimer: Cancel | undefined;

  constructor(owner: StoreQueueOwner) {
    this.#owner = owner;
  }

  /** Records on disk, none of them behind one that was refused. */
  get storedCount(): number {
    return this.#storedCount;
  }

  /** Something is on its way to the disk. */
  get isPending(): boolean {
    return this.#pendingCount > 0;
  }

  /** Nothing is on its way, and nothing waits for room. */
  get isEmpty(): boolean {
    return this.#pendingCount === 0 && this.#held.length === 0;
  }

  /** Bytes that wait for room. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Nothing can be handed over at the moment: read nothing more. */
  get isBlocked(): boolean {
    return this.#isInDoubt || this.#owner.isPaused || this.#owner.context.pressure === "full";
  }

  /** Stores a block, or holds a copy of it. Its arrays may change afterwards. */
  take(block: RecordBlock): void {
    if (this.#held.length > 0 || this.isBlocked) this.#hold(copyBlock(block), "last");
    else this.#store(block, undefined);
  }

  /** Stores what was held, as long as there is room. */
  storeHeld(): void {
    while (this.#held.length > 0 && !this.isBlocked) {
      const block = this.#held.shift();
      if (block === undefined) return;
      this.#heldBytes -= bytesOf(block);
      this.#store(block, block);
    }
  }

  /** Forgets what was held: its sender has no acknowledgement that covers it. */
  dropHeld(): void {
    this.#held.length = 0;
    this.#heldBytes = 0;
  }

  /** What is held is lost for this reason, and nothing more is counted. What was handed over is still stored. */
  abandon(cause: Error): void {
    this.#isBroken = true;
    this.#loseHeld(cause);
  }

  /** Sets bytes aside that can be no record. */
  setAside(bytes: Uint8Array, cause: HoldfastError): void {
    const { context, redelivers } = this.#owner;
    this.#pendingCount++;
    context.setAside(bytes, cause).then(
      context.guard(() => this.#settledOne()),
      context.guard((failure: unknown) => {
        if (!redelivers) context.dropped(1, cause.code);
        this.#owner.lostLetter(bytes.length, toError(failure));
        this.#settledOne();
      }),
    );
  }

  /** Ends the timer. */
  close(): void {
    this.#retryTimer?.();
  }

  #hold(block: RecordBlock, place: "first" | "last"): void {
    this.#heldBytes += bytesOf(block);
    if (place === "first") this.#held.unshift(block);
    else this.#held.push(block);
  }

  #store(block: RecordBlock, copy: RecordBlock | undefined): void {
    const { context } = this.#owner;
    const stored = context.storeBlock(block);
    // Whether it was refused as BUSY is known only later, and then the bytes are gone: under pressure, and only
    // then, a copy is kept. `storeBlock` has raised the pressure before it returned.
    const isUnderPressure = context.pressure === "full";
    const spare = copy ?? (isUnderPressure ? copyBlock(block) : undefined);
    if (isUnderPressure) this.#doubt();
    // All that is left of it where no copy was kept.
    const { count } = block;
    this.#pendingCount++;
    stored.then(
      context.guard((result: Stored) => this.#stored(result)),
      context.guard((cause: unknown) => this.#notStored(toError(cause), spare ?? count)),
    );
  }

  #stored({ recordCount }: Stored): void {
    this.#pendingCount--;
    if (!this.#isBroken) this.#storedCount += recordCount;
    this.#owner.stored();
  }

  #notStored(cause: Error, lost: RecordBlock | number): void {
    this.#pendingCount--;
    if (codeOf(cause) === "BUSY" && typeof lost !== "number" && !this.#isBroken) {
      this.#hold(lost, "first");
      this.#wasRefused = true;
      return;
    }
    this.#isBroken = true;
    this.#lose(lost, cause);
    this.#loseHeld(cause);
    this.#owner.broke(cause);
  }

  /** These will not be stored. Who gets acknowledgements sends them again. */
  #lose(lost: RecordBlock | number, cause: Error): void {
    const { giveUp, dropped } = this.#owner.context;
    if (this.#owner.redelivers) return;
    if (typeof lost === "number") dropped(lost, codeOf(cause));
    else giveUp(lost, cause);
  }

  #loseHeld(cause: Error): void {
    const held = this.#held.splice(0);
    this.#heldBytes = 0;
    for (const block of held) this.#lose(block, cause);
  }

  #doubt(): void {
    const { clock, guard } = this.#owner.context;
    this.#isInDoubt = true;
    void clock.yield().then(guard(() => this.#settleDoubt()));
  }

  #settleDoubt(): void {
    const wasRefused = this.#wasRefused;
    this.#isInDoubt = false;
    this.#wasRefused = false;
    if (this.isBlocked) return;
    if (!wasRefused) return this.#owner.canResume();
    // The pressure fell between the refusal and now, so nobody will tell that there is room.
    const { clock, guard } = this.#owner.context;
    this.#retryTimer?.();
    this.#retryTimer = clock.after(
      RETRY_MS,
      guard(() => this.#owner.canResume()),
    );
  }

  #settledOne(): void {
    this.#pendingCount--;
    this.#owner.settledOne();
  }
}

/** What a copied block takes, but for its numbers. */
function bytesOf({ values, keys, headers }: RecordBlock): number {
  return values.length + (keys?.bytes.length ?? 0) + (headers?.bytes.length ?? 0);
}
