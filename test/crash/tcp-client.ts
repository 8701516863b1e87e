/**
 * A TCP client that counts acknowledgements: each connection sends numbered lines, never more than a window ahead
 * of the count that came back, and never sends a line again.
 */
import { connect, type Socket } from "node:net";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { RecordBook } from "./record-book.ts";

const windowMax = 600;
const burstMax = 60;
/** Lengths of records: short as a reading, now and then long enough to cross blocks of the disk. */
const fillerMax = 200;
const longFillerMax = 20_000;
const longShare = 0.01;
/** Characters of a line that are held back at most; a line is longer. */
const heldMax = 40;
/** Records of a connection before it half-closes and another one follows. */
const connectionRecordsMax = 4_000;

/** Where a client sends, and what it records in `book`. */
export interface ClientOptions {
  readonly port: number;
  /** Begins every id of this client; not used by another one. */
  readonly name: string;
  readonly random: SeededRandom;
  readonly book: RecordBook;
  /** Length that is added to every record; drawn for each when left out. */
  readonly filler?: number;
  /** Records ahead of the count at most; drawn for each connection up to 600 when left out. */
  readonly windowMax?: number;
  /** Ends the load: what was sent is waited for, then the connection is closed. */
  readonly stop: AbortSignal;
}

/**
 * One connection after the other until one breaks or `stop` aborts. Resolves then; never rejects: a broken
 * connection is what this test is about, and it leaves its ids undecided.
 */
export async function runTcpClient(options: ClientOptions): Promise<void> {
  for (let connection = 1; !options.stop.aborted; connection += 1) {
    const name = `${options.name}.${connection}`;
    const end = await new Promise<"closed" | "broken">((resolve) => {
      new TcpConnection({ ...options, name }, resolve);
    });
    if (end === "broken") return;
  }
}

class TcpConnection {
  readonly #options: ClientOptions;
  readonly #socket: Socket;
  readonly #sent: string[] = [];
  readonly #window: number;
  readonly #total: number;
  #acknowledged = 0;
  /** The second half of a line whose first half is on its way: framing has to wait for it. */
  #held = "";
  #unread = "";
  #ending = false;
  #broken = false;

  constructor(options: ClientOptions, done: (end: "closed" | "broken") => void) {
    this.#options = options;
    this.#window = options.random.integer(1, options.windowMax ?? windowMax);
    this.#total = options.random.integer(1, connectionRecordsMax);
    // The count after our FIN is still to be read, so closing is left to the other side.
    this.#socket = connect({ host: "127.0.0.1", port: options.port, noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.once("connect", () => this.#fill());
    this.#socket.on("data", (text) => this.#heard(String(text)));
    this.#socket.once("error", () => (this.#broken = true));
    const stopped = (): void => this.#fill();
    options.stop.addEventListener("abort", stopped);
    this.#socket.once("close", () => {
      options.stop.removeEventListener("abort", stopped);
      const complete = this.#ending && !this.#broken && this.#acknowledged === this.#sent.length;
      done(complete ? "closed" : "broken");
    });
  }

  /** Sends bursts while the window has room; half-closes behind the last one. */
  #fill(): void {
    if (this.#ending || this.#socket.connecting || this.#broken) return;
    while (!this.#isOver() && this.#sent.length - this.#acknowledged < this.#window) this.#burst();
    if (!this.#isOver()) return;
    this.#ending = true;
    this.#socket.end(this.#held);
  }

  #isOver(): boolean {
    return this.#options.stop.aborted || this.#sent.length >= this.#total;
  }

  #burst(): void {
    const { random, name, book } = this.#options;
    const room = this.#window - (this.#sent.length - this.#acknowledged);
    const count = Math.min(random.integer(1, burstMax), room);
    let text = this.#held;
    for (let index = 0; index < count; index += 1) {
      const id = `${name}-${this.#sent.length}`;
      text += `${book.write(id, this.#fillerLength())}\n`;
      this.#sent.push(id);
    }
    // Half of the last line may wait for the next burst, if lines before it are still to be counted: only a
    // count leads to another burst.
    const alone = this.#sent.length - this.#acknowledged === 1;
    const cut = alone ? text.length : random.integer(text.length - heldMax, text.length);
    this.#held = text.slice(cut);
    this.#socket.write(text.slice(0, cut));
  }

  #fillerLength(): number {
    const { filler, random } = this.#options;
    return filler ?? random.integer(0, random.next() < longShare ? longFillerMax : fillerMax);
  }

  #heard(text: string): void {
    const lines = (this.#unread + text).split("\n");
    this.#unread = lines.pop() ?? "";
    for (const line of lines) this.#counted(line);
    this.#fill();
  }

  #counted(line: string): void {
    const count = Number(line);
    const { book, name } = this.#options;
    if (!/^\d+$/.test(line) || count <= this.#acknowledged || count > this.#sent.length) {
      book.problem(
        `${name}: count "${line}" after ${this.#acknowledged} of ${this.#sent.length} sent`,
      );
      this.#socket.destroy();
      return;
    }
    const ids = this.#sent.slice(this.#acknowledged, count);
    this.#acknowledged = count;
    book.acknowledge(ids);
  }
}
