/**
 * A unit's queue. It lies outside nact and outside every incarnation, so what waits survives a restart in order.
 *
 * ```
 * signals    overtake everything: the supervisor's few notices
 * returned   what was set aside and given back, ahead of what came later
 * messages   bounded by the unit's definition; behind them those who wait to offer one
 * followers  signals that come after the messages that were there before them; they take none of their room
 * ```
 * Signals are never displaced by messages, nor messages by signals. What few units use is made when it is used.
 */
import { Offers } from "./offers.ts";
import { Ring } from "./ring.ts";

/** Signals that overtake, at most. A unit that takes none of so many is not the one to be told another. */
export const SYSTEM_LANE_MAX = 64;

interface Follower<Signal> {
  readonly signal: Signal;
  /** How many messages have left the lane when it is this signal's turn. */
  readonly afterCount: number;
}

/** See the file's head. */
export class Mailbox<Signal, Message> {
  readonly #messagesMax: number;
  readonly #messages: Ring<Message>;
  #signals: Ring<Signal> | undefined;
  #followers: Ring<Follower<Signal>> | undefined;
  #returned: Ring<Message> | undefined;
  #stash: Ring<Message> | undefined;
  #offers: Offers<Message> | undefined;
  /** Messages that have left the lane so far. */
  #leftCount = 0;

  /** @param messagesMax - messages that wait at most; as many may be set aside */
  constructor(messagesMax: number) {
    this.#messagesMax = messagesMax;
    this.#messages = new Ring(messagesMax);
  }

  /** Whether there is something to take. */
  get isEmpty(): boolean {
    return this.messageCount === 0 && !this.#signals?.length && !this.#followers?.length;
  }

  /** Messages that wait to be taken. */
  get messageCount(): number {
    return this.#messages.length + (this.#returned?.length ?? 0);
  }

  // What comes in

  /** False when no more messages may wait; then this one does not. */
  push(message: Message): boolean {
    return this.#messages.push(message);
  }

  /** Takes the message in although there is no room; the oldest one, which makes room. */
  displace(message: Message): Message {
    const oldest = this.#shift();
    this.#messages.push(message);
    return oldest;
  }

  /** Resolves when the message is in, first come, first served. Rejects as {@link Offers.wait} does. */
  offer(message: Message, signal: AbortSignal | undefined): Promise<void> {
    this.#offers ??= new Offers();
    return this.#offers.wait(message, signal);
  }

  /** A signal that overtakes. False beyond {@link SYSTEM_LANE_MAX}; then nothing is dropped. */
  order(signal: Signal): boolean {
    this.#signals ??= new Ring(SYSTEM_LANE_MAX);
    return this.#signals.push(signal);
  }

  /** A signal behind the messages that wait now. Whoever sends these bounds their number. */
  follow(signal: Signal): void {
    this.#followers ??= new Ring(Infinity);
    this.#followers.push({ signal, afterCount: this.#leftCount + this.#messages.length });
  }

  // What goes out

  /** The signal whose turn it is, before any message. */
  takeSignal(): Signal | undefined {
    if (this.#signals === undefined && this.#followers === undefined) return undefined;
    return this.#signals?.shift() ?? this.#takeFollower();
  }

  /** The next message. Asked only while `messageCount` is above 0. */
  takeMessage(): Message {
    // The length was checked, so an undefined is a message that is undefined.
    if (this.#returned !== undefined && this.#returned.length > 0)
      return this.#returned.shift() as Message;
    const message = this.#shift();
    if (this.#offers?.isEmpty === false) this.#admit(this.#offers);
    return message;
  }

  #takeFollower(): Signal | undefined {
    if (this.#followers === undefined || (this.#returned?.length ?? 0) > 0) return undefined;
    const next = this.#followers.peek();
    if (next === undefined || next.afterCount > this.#leftCount) return undefined;
    this.#followers.shift();
    return next.signal;
  }

  #shift(): Message {
    this.#leftCount++;
    return this.#messages.shift() as Message;
  }

  #admit(offers: Offers<Message>): void {
    while (!this.#messages.isFull) {
      const offer = offers.next();
      if (offer === undefined) return;
      this.#messages.push(offer.message);
      offer.accept();
    }
  }

  // What is set aside

  /** Whether no more messages may be set aside. Those given back and not handled yet count. */
  get isStashFull(): boolean {
    const count = (this.#stash?.length ?? 0) + (this.#returned?.length ?? 0);
    return count >= this.#messagesMax;
  }

  stash(message: Message): void {
    this.#stash ??= new Ring(this.#messagesMax);
    this.#stash.push(message);
  }

  /** What is set aside waits again, in its order, ahead of everything that came later. */
  unstash(): void {
    if (this.#stash === undefined) return;
    // What was given back before and set aside again is older than what was not reached since.
    for (const message of this.#returned?.drain() ?? []) this.#stash.push(message);
    this.#returned = this.#stash;
    this.#stash = undefined;
  }

  // The end

  /** Empties it: the messages, oldest first. Who waits to offer one is refused with the reason. */
  drain(reason: Error): readonly Message[] {
    this.unstash();
    this.#offers?.refuse(reason);
    this.#signals = undefined;
    this.#followers = undefined;
    const messages = [...(this.#returned?.drain() ?? []), ...this.#messages.drain()];
    this.#leftCount += messages.length;
    return messages;
  }
}
