/**
 * The outside of a unit's mailbox: who tells or offers, what becomes of a message that finds no room, and of those
 * that are left at the end.
 */
import type { Signal } from "../src/actor/drain.ts";
import type { UnitLimits } from "../src/actor/limits.ts";
import { Mailbox } from "../src/actor/mailbox.ts";
import { DONE } from "../src/actor/waits.ts";
import type { DropReason, UnitRef } from "../src/contract/unit.ts";
import type { Announcer } from "./announcer.ts";

/** See the file's head. */
export class Inbox<Message> {
  readonly mailbox: Mailbox<Signal, Message>;
  readonly #overflow: UnitLimits["overflow"];
  readonly #announcer: Announcer;

  constructor({ mailboxMax, overflow }: UnitLimits, announcer: Announcer) {
    this.#overflow = overflow;
    this.#announcer = announcer;
    this.mailbox = new Mailbox(mailboxMax);
  }

  /** For a unit that takes messages; `epoch` is what a drop is told with. */
  tell(message: Message, epoch: number): Exclude<ReturnType<UnitRef["tell"]>, "dead"> {
    if (this.mailbox.push(message)) return "ok";
    switch (this.#overflow) {
      case "reject":
        return "full";
      case "drop-newest":
        this.#announcer.dropped(epoch, "mailbox-full", message);
        return "dropped";
      case "drop-oldest":
        this.#announcer.dropped(epoch, "displaced", this.mailbox.displace(message));
        return "ok";
    }
  }

  /** As {@link UnitRef.offer} says, for a unit that takes messages. */
  offer(message: Message, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted !== true && this.mailbox.push(message)) return DONE;
    return this.mailbox.offer(message, signal);
  }

  /** Those that wait are dropped, those who wait to offer one are refused. */
  close(epoch: number, why: DropReason, reason: Error): void {
    this.#announcer.droppedAll(epoch, why, this.mailbox.drain(reason));
  }
}
