/**
 * One connected client: its gate, who it is, and what its records are headed with.
 */
import type { PacketGate } from "./packet-gate.ts";
import type { Identity } from "./topic-rules.ts";

/** See above. */
export class Device {
  readonly gate: PacketGate;
  /** Topic filters that it may subscribe to and has not left. */
  readonly filters: Set<string> = new Set();
  #identity: Identity = { clientId: "", user: "" };
  #headers: Uint8Array = Buffer.alloc(0);
  #retainedHeaders: Uint8Array = Buffer.alloc(0);
  /** Seconds, as its CONNECT says; 0 for none. */
  keepAliveSeconds = 0;
  /** It asked for a session and named no client id. */
  isNameless = false;

  constructor(gate: PacketGate) {
    this.gate = gate;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** It is known now. */
  identify(identity: Identity): void {
    const { clientId: client, user } = identity;
    const headers = { client, ...(user === "" ? {} : { user }) };
    this.#identity = identity;
    this.#headers = Buffer.from(JSON.stringify(headers));
    this.#retainedHeaders = Buffer.from(JSON.stringify({ ...headers, retain: "true" }));
  }

  /** Headers of its records, as JSON. */
  headers({ retain }: { readonly retain: boolean }): Uint8Array {
    return retain ? this.#retainedHeaders : this.#headers;
  }
}
