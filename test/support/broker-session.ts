/**
 * What an MQTT broker keeps for a client that may be away, after the rules of the protocol: a window of messages in
 * flight, everything in it again after a reconnect.
 */
import type { Packet } from "mqtt-packet";

interface Message {
  readonly text: string;
  readonly qos: 1 | 2;
}

/** One message on its way: sent and not acknowledged, or received by the other side and not released. */
interface InFlight extends Message {
  state: "publish" | "release";
}

/** How many messages at a time, and of how many ids. */
export interface BrokerLimits {
  readonly window: number;
  readonly ids: number;
}

/** What a broker keeps for a client that may be away. */
export class BrokerSession {
  #waiting: Message[] = [];
  inFlight: Map<number, InFlight> = new Map();
  readonly #limits: BrokerLimits;
  /** Acknowledged by the client: the broker will never send them again. */
  readonly acknowledged: Message[] = [];
  /** In flight when the broker lost its memory. */
  readonly forgotten: Message[] = [];
  /** Known to a broker that has forgotten how far it was with them: they may be there several times. */
  readonly unsure: Set<string> = new Set();
  isKept = false;
  #lastId = 0;
  #count = 0;
  #saved: Saved | undefined;

  constructor(limits: BrokerLimits) {
    this.#limits = limits;
  }

  publish(qos: 1 | 2, text: string = `m${this.#count++}`): void {
    this.#waiting.push({ text, qos });
  }

  /** The next message that the window allows. */
  next(): Packet | undefined {
    if (this.inFlight.size >= this.#limits.window) return undefined;
    const message = this.#waiting.shift();
    if (message === undefined) return undefined;
    const id = this.#freeId();
    this.inFlight.set(id, { ...message, state: "publish" });
    return packetOf(id, message, false);
  }

  /** After a reconnect: everything in flight again, in order. */
  again(): readonly Packet[] {
    return [...this.inFlight].map(([id, message]) =>
      message.state === "release" ? { cmd: "pubrel", messageId: id } : packetOf(id, message, true),
    );
  }

  /** Returns the answer, if the packet has one. */
  hear({ cmd, messageId = 0 }: Packet): Packet | undefined {
    const message = this.inFlight.get(messageId);
    if (cmd === "puback" && message?.qos === 1) this.#done(messageId, message);
    if (cmd === "pubcomp" && message?.state === "release") this.#done(messageId, message);
    if (cmd !== "pubrec" || message?.qos !== 2) return undefined;
    message.state = "release";
    return { cmd: "pubrel", messageId };
  }

  forget(): void {
    this.forgotten.push(...this.inFlight.values(), ...this.#waiting.splice(0));
    this.inFlight.clear();
    this.isKept = false;
    this.#lastId = 0;
  }

  save(): void {
    const inFlight = [...this.inFlight].map(([id, message]) => [id, { ...message }] as const);
    this.#saved = {
      waiting: [...this.#waiting],
      inFlight,
      lastId: this.#lastId,
      isKept: this.isKept,
    };
  }

  rewind(): void {
    const saved = this.#saved;
    if (saved === undefined) return this.forget();
    const { waiting, inFlight, lastId, isKept } = saved;
    this.#waiting = [...waiting];
    this.inFlight = new Map(inFlight.map(([id, message]) => [id, { ...message }]));
    this.#lastId = lastId;
    this.isKept = isKept;
    for (const { text } of [...this.#waiting, ...this.inFlight.values()]) this.unsure.add(text);
  }

  get isEmpty(): boolean {
    return this.inFlight.size === 0 && this.#waiting.length === 0;
  }

  #done(id: number, message: Message): void {
    this.inFlight.delete(id);
    this.acknowledged.push(message);
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % this.#limits.ids) + 1;
    while (this.inFlight.has(this.#lastId));
    return this.#lastId;
  }
}

/** A state of the broker. */
interface Saved {
  readonly waiting: readonly Message[];
  readonly inFlight: readonly (readonly [number, InFlight])[];
  readonly lastId: number;
  readonly isKept: boolean;
}

function packetOf(messageId: number, { text, qos }: Message, dup: boolean): Packet {
  return { cmd: "publish", topic: "a/b", payload: text, qos, messageId, dup, retain: false };
}
