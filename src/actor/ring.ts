/**
 * First in, first out, in a ring that grows to a limit.
 */

/** Slots of a ring that holds something; it doubles up to its limit. */
const SLOTS_MIN = 16;

/** See the file's head. It takes no memory for values before the first. */
export class Ring<T> {
  readonly #max: number;
  #slots: (T | undefined)[] = NONE;
  #head = 0;
  #length = 0;

  /** @param max - values that it holds at most */
  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === this.#max;
  }

  /** The oldest value, which stays. */
  peek(): T | undefined {
    return this.#slots[this.#head];
  }

  /** False when it is full; then the value is not in it. */
  push(value: T): boolean {
    if (this.#length === this.#max) return false;
    if (this.#length === this.#slots.length) this.#grow();
    // The ring's size is a power of two, or it would have to divide.
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = value;
    this.#length++;
    return true;
  }

  /** The oldest value. Undefined when it is empty: whoever keeps undefined in it asks for `length` first. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    return value;
  }

  /** Forgets everything, and the memory of a burst with it. The values, oldest first. */
  drain(): readonly T[] {
    const mask = this.#slots.length - 1;
    const values = Array.from(
      { length: this.#length },
      // Inside the length every slot holds a value, which may be undefined itself.
      (_, index) => this.#slots[(this.#head + index) & mask] as T,
    );
    this.#slots = NONE;
    this.#head = 0;
    this.#length = 0;
    return values;
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

/** Shared by all empty rings; nothing is ever put into it, for its length is 0. */
const NONE: never[] = [];
