/**
 * The way of all clients' messages into the log: what arrives in one turn of the event loop is one block, and each message
 * is settled, in order of receipt, when its block is on disk.
 *
 * When the log refuses a block for good, everything that waits fails with it, and nothing is taken until what is still on
 * its way is settled: no message overtakes one before it, and no packet id counts as stored whose message is not.
 */
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import type { RecordBlock } from "../../src/contract/record.ts";
import { codeOf, HoldfastError } from "../../src/errors.ts";
import { positionBlock } from "../../src/record/block-builder.ts";
import { StoreQueue, type StoreQueueOwner } from "../../src/record/store-queue.ts";
import { blockOf, type Message, MessageBlock } from "./message-block.ts";
import type { MqttListenerOptions } from "./options.ts";

/** What may wait for room; beyond it clients are not read. */
const HELD_BYTES_MAX: number = 4 * 1024 * 1024;

/** Called once: on disk, or why not. */
export type Settle = (cause?: Error) => void;

/** A channel whose position is stored with its messages. */
export interface Channel {
  readonly name: string;
  /** The position behind everything that was handed over up to now. */
  position(): Uint8Array;
}

/** What a lane needs of its listener. */
export interface LaneOwner {
  readonly context: ReceiverContext<MqttListenerOptions>;
  readonly isPaused: boolean;
  /** Nothing of what waits will be stored: the clients have to end. */
  broke(cause: Error): void;
  /** There may be room again. */
  changed(): void;
}

/** See the file's head. */
export class Lane implements StoreQueueOwner {
  readonly context: ReceiverContext<MqttListenerOptions>;
  /** A message of QoS 1 or 2 comes again; those of QoS 0 are counted here. */
  readonly redelivers = true;
  readonly #owner: LaneOwner;
  readonly #block = new MessageBlock();
  #queue: StoreQueue;
  #channel: Channel | undefined;
  /** Of the messages in the block that is being gathered; undefined for one of QoS 0. */
  #gathered: (Settle | undefined)[] = [];
  /** Of each block that was handed over, oldest first. */
  readonly #waiting: (readonly (Settle | undefined)[])[] = [];
  #isFlushDue = false;
  #isBroken = false;

  constructor(owner: LaneOwner) {
    this.context = owner.context;
    this.#owner = owner;
    this.#queue = new StoreQueue(this);
  }

  get isPaused(): boolean {
    return this.#owner.isPaused;
  }

  /** Whether clients may be read. */
  get hasRoom(): boolean {
    return !this.#isBroken && this.#queue.heldBytes <= HELD_BYTES_MAX;
  }

  /** Whether a message that nobody sends again is dropped. */
  get isPressed(): boolean {
    return this.#isBroken || this.#queue.isBlocked || this.#queue.heldBytes > 0;
  }

  /** Nothing waits, nothing is on its way. */
  get isEmpty(): boolean {
    return this.#gathered.length === 0 && this.#queue.isEmpty;
  }

  /** A message; its bytes may change after the call. Without `settle` nobody waits for it. */
  add(message: Message, settle: Settle | undefined, channel?: Channel): void {
    if (this.#isBroken) return this.#fail([settle], BROKEN);
    if (this.#channel !== channel || !this.#block.hasRoomFor(message)) this.flush();
    if (!this.#block.hasRoomFor(message)) {
      this.#gathered.push(settle);
      return this.#take(blockOf(message), channel);
    }
    this.#channel = channel;
    this.#block.add(message);
    this.#gathered.push(settle);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    const { clock, guard } = this.context;
    // When every socket that had something has been read: one block for all.
    void clock.yield().then(
      guard(() => {
        this.#isFlushDue = false;
        this.flush();
      }),
    );
  }

  /** The position of a channel has moved without a message. */
  move(channel: Channel, settle: Settle): void {
    if (this.#isBroken) return this.#fail([settle], BROKEN);
    this.flush();
    this.#gathered.push(settle);
    this.#hand(positionBlock(channel.name, channel.position()));
  }

  /** Hands over what was gathered. */
  flush(): void {
    if (this.#block.count > 0) this.#take(this.#block.take(), this.#channel);
  }

  /** There is room again: what was held goes first. */
  resume(): void {
    this.#queue.storeHeld();
    this.#owner.changed();
  }

  /** It was fenced: what waits for room is not stored any more. */
  drop(cause: Error): void {
    this.flush();
    this.#queue.dropHeld();
    this.#break(cause);
  }

  stored(): void {
    if (this.#isBroken) return this.#mendWhenEmpty();
    for (const settle of this.#waiting.shift() ?? []) settle?.();
    if (this.isEmpty) this.#owner.changed();
  }

  broke(cause: Error): void {
    if (!this.#isBroken) this.#break(cause);
    this.#mendWhenEmpty();
  }

  canResume(): void {
    this.resume();
  }

  settledOne(): void {
    this.#owner.changed();
  }

  lostLetter(): void {
    // Nothing is set aside here: a message that is refused is its sender's.
  }

  /** Ends the timer. */
  close(): void {
    this.#queue.close();
  }

  #take(block: RecordBlock, channel: Channel | undefined): void {
    this.#hand(
      channel === undefined
        ? block
        : { ...block, channel: channel.name, position: channel.position() },
    );
  }

  #hand(block: RecordBlock): void {
    this.#waiting.push(this.#gathered);
    this.#gathered = [];
    this.#channel = undefined;
    this.#queue.take(block);
  }

  #break(cause: Error): void {
    this.#isBroken = true;
    this.flush();
    this.#queue.abandon(cause);
    for (const settles of this.#waiting.splice(0)) this.#fail(settles, cause);
    this.#owner.broke(cause);
  }

  #mendWhenEmpty(): void {
    if (!this.#queue.isEmpty) return;
    this.#queue.close();
    this.#queue = new StoreQueue(this);
    this.#isBroken = false;
    this.#owner.changed();
  }

  #fail(settles: readonly (Settle | undefined)[], cause: Error): void {
    const lost = settles.filter((settle) => settle === undefined).length;
    if (lost > 0) this.context.dropped(lost, codeOf(cause));
    for (const settle of settles) settle?.(cause);
  }
}

const BROKEN = new HoldfastError("BUSY", "the log refused messages before this one");
