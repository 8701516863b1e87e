/**
 * Clients that outlive every kill and send again what was not acknowledged: one through a session of tcp, one through
 * idempotency keys of http. Every id of theirs has to be stored exactly once.
 */
import { Agent } from "node:http";
import { connect, type Socket } from "node:net";
import { pause } from "../support/deadline.ts";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";
import { post } from "./http-client.ts";
import type { RecordBook } from "./record-book.ts";

/** Where an incarnation of the program is, and when to send nothing new. */
export interface Place {
  readonly port: number;
  readonly stop: AbortSignal;
}

/** What a client has for its whole life. */
export interface ResendingOptions {
  /** Begins every id; not used by another client. */
  readonly name: string;
  readonly random: SeededRandom;
  readonly book: RecordBook;
}

const windowMax = 300;
const fillerMax = 200;
const requestRecordsMax = 30;
const retryAfterMs = 50;

/** Numbered lines; after each connect it goes on where the session's count says. */
export class SessionClient {
  readonly #options: ResendingOptions;
  /** Every line it has made, in order: what was acknowledged could be forgotten, and is kept to be judged. */
  readonly #made: { readonly id: string; readonly line: string }[] = [];
  #acknowledged = 0;
  /** Lines that were sent over some connection. */
  #sentCount = 0;
  resentCount = 0;

  constructor(options: ResendingOptions) {
    this.#options = options;
  }

  /** Lines that were made and not acknowledged. */
  get openCount(): number {
    return this.#made.length - this.#acknowledged;
  }

  /** One connection, until it breaks or everything is acknowledged after `stop`. Never rejects. */
  run({ port, stop }: Place): Promise<void> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    /** The next line to send; undefined until the count is known. */
    let next: number | undefined;
    let unread = "";
    const fill = (): void => {
      if (next === undefined) return;
      next = this.#send(socket, next, stop);
      if (stop.aborted && this.openCount === 0) socket.end();
    };
    socket.setEncoding("latin1");
    socket.write(`HOLDFAST-SESSION ${this.#options.name}\n`);
    socket.on("error", () => undefined);
    socket.on("data", (text) => {
      const lines = (unread + String(text)).split("\n");
      unread = lines.pop() ?? "";
      for (const line of lines) {
        const isFirst = next === undefined;
        this.#counted(line, isFirst);
        next ??= this.#acknowledged;
      }
      fill();
    });
    stop.addEventListener("abort", fill);
    return new Promise((resolve) => {
      socket.once("close", () => {
        stop.removeEventListener("abort", fill);
        resolve();
      });
    });
  }

  /** Sends what was made before and new lines within the window; returns the next number. */
  #send(socket: Socket, from: number, stop: AbortSignal): number {
    const { name, random, book } = this.#options;
    const to = Math.max(from, this.#acknowledged + random.integer(1, windowMax));
    while (this.#made.length < to && !stop.aborted) {
      const id = `${name}-${this.#made.length}`;
      this.#made.push({ id, line: book.write(id, random.integer(0, fillerMax)) });
    }
    const lines = this.#made.slice(from, to).map(({ line }) => `${line}\n`);
    if (lines.length > 0) socket.write(lines.join(""));
    this.resentCount += Math.max(0, Math.min(this.#sentCount, from + lines.length) - from);
    this.#sentCount = Math.max(this.#sentCount, from + lines.length);
    return from + lines.length;
  }

  #counted(line: string, isFirst: boolean): void {
    const { name, book } = this.#options;
    const count = Number.parseInt(line, 10);
    const isForm = isFirst ? /^\d+$|^0 unknown$/.test(line) : /^\d+$/.test(line);
    if (!isForm || count < this.#acknowledged || count > this.#made.length)
      return book.problem(
        `${name}: count "${line}" after ${this.#acknowledged} of ${this.#made.length} lines`,
      );
    book.acknowledge(this.#made.slice(this.#acknowledged, count).map(({ id }) => id));
    this.#acknowledged = count;
  }
}

interface OpenRequest {
  readonly key: string;
  readonly ids: readonly string[];
  readonly body: string;
}

/** One request at a time, sent again under its key until it is answered with 200. */
export class KeyClient {
  readonly #options: ResendingOptions;
  #requestCount = 0;
  #open: OpenRequest | undefined;
  /** Records of requests that were sent again. */
  resentCount = 0;

  constructor(options: ResendingOptions) {
    this.#options = options;
  }

  /** Records of the request that is not answered. */
  get openCount(): number {
    return this.#open?.ids.length ?? 0;
  }

  /** Until the server is gone, or the last request is answered after `stop`. Never rejects. */
  async run({ port, stop }: Place): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { name, book } = this.#options;
    this.resentCount += this.openCount;
    try {
      while (!stop.aborted || this.#open !== undefined) {
        const { key, ids, body } = (this.#open ??= this.#draw());
        const headers = { "idempotency-key": key };
        const answer = await post({ port, agent, body, type: "application/x-ndjson", headers });
        if (answer === undefined) return;
        if (answer.status === 200) {
          book.acknowledge(ids);
          this.#open = undefined;
        } else if (answer.status === 503) await pause(retryAfterMs);
        else return book.problem(`${name}: status ${answer.status}: ${answer.body.slice(0, 200)}`);
      }
    } finally {
      agent.destroy();
    }
  }

  #draw(): OpenRequest {
    const { name, random, book } = this.#options;
    const key = `${name}.${this.#requestCount++}`;
    const count = random.integer(1, requestRecordsMax);
    const ids = Array.from({ length: count }, (_, index) => `${key}-${index}`);
    const body = ids.map((id) => `${book.write(id, random.integer(0, fillerMax))}\n`).join("");
    return { key, ids, body };
  }
}
