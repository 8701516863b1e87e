/**
 * A unit's queue. It lies outside nact and outside every incarnation, so what waits survives a restart in order.
 *
 * Two lanes: the system lane is small, never refused and goes first; the user lane is bounded.
 */

/** Slots of a ring that holds nothing yet; it doubles up to its limit. */
const SLOTS_MIN = 16;

/** First in, first out, in a ring that grows to a limit. */
class Ring<T> {
  readonly #max: number;
  #slots: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#length;
  }

  push(value: T): boolean {
    if (this.#length === this.#max) return false;
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) % this.#slots.length] = value;
    this.#length++;
    return true;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#slots.length;
    this.#length--;
    return value;
  }

  #grow(): void {
    const slots: (T | undefined)[] = Array.from({
      length: Math.max(SLOTS_MIN, this.#slots.length * 2),
    });
    for (let index = 0; index < this.#length; index++)
      slots[index] = this.#slots[(this.#head + index) % this.#slots.length];
    this.#slots = slots;
    this.#head = 0;
  }
}

/** What is taken out, with the lane it came from. */
export type Mail<System, User> =
  | { readonly lane: "system"; readonly message: System }
  | { readonly lane: "user"; readonly message: User };

/** The two lanes of one unit. */
export class Mailbox<System, User> {
  readonly #system = new Ring<System>(Infinity);
  readonly #user: Ring<User>;

  /** @param userMax - messages that wait at most in the user lane */
  constructor(userMax: number) {
    this.#user = new Ring(userMax);
  }

  get length(): number {
    return this.#system.length + this.#user.length;
  }

  /** Never refused: the supervisor sends few, and each matters. */
  order(message: System): void {
    this.#system.push(message);
  }

  /** `full` when the user lane is at its limit; the message is not in it then. */
  offer(message: User): "ok" | "full" {
    return this.#user.push(message) ? "ok" : "full";
  }

  take(): Mail<System, User> | undefined {
    if (this.#system.length > 0) return { lane: "system", message: this.#system.shift() as System };
    if (this.#user.length > 0) return { lane: "user", message: this.#user.shift() as User };
    return undefined;
  }

  /** Empties the user lane; how many messages that were. */
  drop(): number {
    const count = this.#user.length;
    while (this.#user.length > 0) this.#user.shift();
    return count;
  }
}
