/** A unit's mailbox in the reference model: lists in the order in which things are to be taken. */
import type { DropReason, Overflow } from "../../src/contract/unit.ts";

/** What the handler of a message does. What was set aside once is handled the next time. */
export type How =
  | "handle"
  | "wait"
  | "throw"
  | "reject"
  | "hang"
  | "fail"
  | "set-aside"
  | "set-aside-and-fail"
  | "give-back";

/** A message and what its handler does. */
export interface Message {
  readonly id: number;
  readonly how: How;
}

/** What is taken: a message, or the news that a unit which was watched has stopped. */
export type Mail =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "terminated"; readonly target: number };

/** Messages that wait at most, and that are set aside at most. */
export const MAILBOX_MAX = 4;

export class MailModel {
  readonly dropped: string[] = [];
  readonly accepted: number[] = [];
  readonly refused: number[] = [];
  readonly #overflow: Overflow;
  #lane: Mail[] = [];
  #returned: Message[] = [];
  #stash: Message[] = [];
  #offers: Message[] = [];

  constructor(overflow: Overflow) {
    this.#overflow = overflow;
  }

  tell(message: Message): "ok" | "full" | "dropped" {
    if (!this.#isFull()) {
      this.#lane.push({ kind: "message", message });
      return "ok";
    }
    if (this.#overflow === "reject") return "full";
    if (this.#overflow === "drop-newest") {
      this.drop("mailbox-full", message);
      return "dropped";
    }
    const first = this.#lane.findIndex(({ kind }) => kind === "message");
    const [oldest] = this.#lane.splice(first, 1);
    if (oldest?.kind === "message") this.drop("displaced", oldest.message);
    this.#lane.push({ kind: "message", message });
    return "ok";
  }

  offer(message: Message): void {
    this.#offers.push(message);
    this.#admit();
  }

  follow(target: number): void {
    this.#lane.push({ kind: "terminated", target });
  }

  take(): Mail | undefined {
    const message = this.#returned.shift();
    if (message !== undefined) return { kind: "message", message };
    const taken = this.#lane.shift();
    if (taken?.kind === "message") this.#admit();
    return taken;
  }

  /** False when no more may be set aside. */
  setAside(message: Message): boolean {
    if (this.#stash.length + this.#returned.length >= MAILBOX_MAX) return false;
    this.#stash.push(message);
    return true;
  }

  giveBack(): void {
    this.#returned = [...this.#stash, ...this.#returned];
    this.#stash = [];
  }

  drop(why: DropReason, { id }: Message): void {
    this.dropped.push(`${why} ${id}`);
  }

  /** The incarnation is over: what is set aside is the next one's, whom it watched is not. */
  over(): void {
    this.giveBack();
    this.#lane = this.#lane.filter(({ kind }) => kind === "message");
  }

  close(why: DropReason): void {
    this.over();
    for (const message of this.#returned) this.drop(why, message);
    for (const mail of this.#lane) if (mail.kind === "message") this.drop(why, mail.message);
    this.refused.push(...this.#offers.map(({ id }) => id));
    this.#returned = [];
    this.#lane = [];
    this.#offers = [];
  }

  #isFull(): boolean {
    return this.#lane.filter(({ kind }) => kind === "message").length >= MAILBOX_MAX;
  }

  #admit(): void {
    for (let [next] = this.#offers; next !== undefined && !this.#isFull(); [next] = this.#offers) {
      this.#offers.shift();
      this.accepted.push(next.id);
      this.#lane.push({ kind: "message", message: next });
    }
  }
}
