import { connect } from "node:net";
import { test } from "node:test";
import { http } from "../../../receivers/http/index.ts";
import type { Endpoint } from "../../../src/host/sockets.ts";
import {
  receiverConformance,
  type ReceiverSubject,
  type TrialUpstream,
} from "../../../src/testing/index.ts";

/** Messages of one request. */
const REQUEST_MESSAGES = 20;

/** A client that posts lines, one request after the other, and sends again what was not answered with 200. */
class Client implements TrialUpstream {
  readonly #address: () => Endpoint;
  readonly #hasKeys: boolean;
  #acknowledged = 0;
  /** Requests that were not answered 200 yet, with their keys. */
  readonly #open: { readonly key: string; readonly lines: readonly string[] }[] = [];
  #requestCount = 0;
  #posting: Promise<void> | undefined;
  #isBroken = false;

  constructor(address: () => Endpoint, hasKeys: boolean) {
    this.#address = address;
    this.#hasKeys = hasKeys;
  }

  async send(messages: readonly string[]): Promise<void> {
    for (let at = 0; at < messages.length; at += REQUEST_MESSAGES)
      this.#open.push({
        key: `request-${this.#requestCount++}`,
        lines: messages.slice(at, at + REQUEST_MESSAGES),
      });
    this.#posting ??= this.#postAll().finally(() => (this.#posting = undefined));
  }

  acknowledged(): number {
    return this.#acknowledged;
  }

  async reconnect(): Promise<void> {
    await this.#posting;
    this.#isBroken = false;
    this.#posting ??= this.#postAll().finally(() => (this.#posting = undefined));
  }

  async sendGarbage(bytes: Uint8Array): Promise<void> {
    const socket = connect(this.#address());
    socket.on("error", () => undefined);
    socket.resume().end(bytes);
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  }

  async sendLarge(byteCount: number): Promise<void> {
    // Refused or broken off: both are an end.
    await this.#post("large", Buffer.alloc(byteCount, 0x61)).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#open.length = 0;
    await this.#posting;
  }

  async #postAll(): Promise<void> {
    for (let next = this.#open[0]; next !== undefined && !this.#isBroken; next = this.#open[0]) {
      const { key, lines } = next;
      const status = await this.#post(key, lines.join("\n")).catch(() => 0);
      if (status === 0) this.#isBroken = true;
      if (status !== 200) continue;
      this.#acknowledged += lines.length;
      this.#open.shift();
    }
  }

  async #post(key: string, body: string | Uint8Array): Promise<number> {
    const { host, port } = this.#address();
    const headers = { "content-type": "text/plain", connection: "close" };
    const response = await fetch(`http://${host}:${port}/records`, {
      method: "POST",
      body,
      headers: this.#hasKeys ? { ...headers, "idempotency-key": key } : headers,
    });
    await response.arrayBuffer();
    return response.status;
  }
}

function subject(hasKeys: boolean): ReceiverSubject {
  return {
    name: `http, ${hasKeys ? "with" : "without"} keys`,
    create: (options) => http("web", { port: 0, ...options }),
    connect: async (address) => new Client(address, hasKeys),
    acknowledges: true,
    afterBreak: hasKeys ? "once" : "again",
    // It posts one request at a time: pressure never comes, it is answered 503.
    holdsBack: false,
  };
}

for (const hasKeys of [true, false])
  for (const { title, run } of receiverConformance(subject(hasKeys))) test(title, run);
