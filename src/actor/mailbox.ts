/**
 * A unit's queue. It lies outside nact and outside every incarnation, so what waits survives a restart in order.
 *
 * Two lanes: the system lane holds the supervisor's few notices and goes first; the user lane is bounded by the
 * unit's definition. A notice is never displaced by messages, and a message never by notices.
 */

/** Slots of a ring that holds nothing yet; it doubles up to its limit. */
const SLOTS_MIN = 16;
/** Notices that wait at most. A unit that takes none of so many is not the one to be told another. */
export const SYSTEM_LANE_MAX = 64;

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
    // The ring's size is a power of two, or it would have to divide.
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = value;
    this.#length++;
    return true;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    return value;
  }

  /** Forgets everything, and the memory of a burst with it. */
  clear(): void {
    this.#slots = [];
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const size = this.#slots.length;
    const slots: (T | undefined)[] = Array.from({ length: Math.max(SLOTS_MIN, size * 2) });
    for (let index = 0; index < this.#length; index++)
      slots[index] = this.#slots[(this.#head + index) & (size - 1)];
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
  readonly #system = new Ring<System>(SYSTEM_LANE_MAX);
  readonly #user: Ring<User>;

  /** @param userMax - messages that wait at most in the user lane */
  constructor(userMax: number) {
    this.#user = new Ring(userMax);
  }

  /** What waits, in both lanes. */
  get length(): number {
    return this.#system.length + this.#user.length;
  }

  /** Whether the notice was taken: false beyond {@link SYSTEM_LANE_MAX}; then nothing is dropped. */
  order(message: System): boolean {
    return this.#system.push(message);
  }

  /** `full` when the user lane is at its limit; the message is not in it then. */
  offer(message: User): "ok" | "full" {
    return this.#user.push(message) ? "ok" : "full";
  }

  take(): Mail<System, User> | undefined {
    // The length was checked, so an undefined is a message that is undefined.
    if (this.#system.length > 0) return { lane: "system", message: this.#system.shift() as System };
    if (this.#user.length > 0) return { lane: "user", message: this.#user.shift() as User };
    return undefined;
  }

  /** Empties both lanes; how many messages of users that were. */
  drop(): number {
    const count = this.#user.length;
    this.#user.clear();
    this.#system.clear();
    return count;
  }
}
