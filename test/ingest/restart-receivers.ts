/** Receivers of the restart properties: two over tcp, one that is pushed messages, one that pulls and has positions. */
import { tcp } from "../../receivers/tcp/index.ts";
import type { Receiver, ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { codeOf, toError } from "../../src/errors.ts";
import { defineReceiver } from "../../src/define-receiver.ts";
import { type Framing, lines } from "../../src/framing/index.ts";
import { buildBlock } from "../../src/record/block-builder.ts";
import { schema } from "../../src/schema.ts";

/** A message that begins like this makes whoever handles it throw; what follows is the directive. */
export const POISON = "!";
/** The same, but the failure comes a while later. */
export const LATE_POISON = "!late ";

const INFLIGHT_BYTES_MAX = 40;
const RETRY_MS = 10;

/** A limit that is far below what a configuration may say. */
function pressed<Name extends string>(receiver: Receiver<Name>): Receiver<Name> {
  const common = { ...receiver.common, inflightBytesMax: INFLIGHT_BYTES_MAX };
  return { ...receiver, common };
}

/** Lines whose splitter has a bug. */
function poisonedLines(): Framing {
  const plain = lines();
  return {
    ...plain,
    blockSplitter: (...args) => {
      const splitter = plain.blockSplitter(...args);
      return {
        get unfinishedBytes() {
          return splitter.unfinishedBytes;
        },
        unfinished: () => splitter.unfinished(),
        push(chunk, headroomBytes) {
          const text = Buffer.from(chunk).toString();
          if (text.startsWith(POISON)) throw new RangeError(text);
          return splitter.push(chunk, headroomBytes);
        },
      };
    },
  };
}

export const none: Receiver<"none"> = pressed(
  tcp("none", { port: 4_000, acknowledge: "none", framing: poisonedLines() }),
);
export const counted: Receiver<"counted"> = pressed(
  tcp("counted", { port: 4_001, acknowledge: "count-line", framing: poisonedLines() }),
);

type Context = ReceiverContext<object>;

/** Takes messages from a test, holds what finds no room, and names what it cannot store. */
class PushSession implements ReceiverSession {
  readonly #context: Context;
  readonly #held: string[] = [];
  #pendingCount = 0;
  #isForced = false;
  #whenDone: (() => void) | undefined;
  readonly receive: (bytes: Uint8Array) => void;

  constructor(context: Context) {
    this.#context = context;
    this.receive = context.guard((bytes: Uint8Array) => this.#received(bytes));
  }

  get isReading(): boolean {
    return !this.#context.signal.aborted && this.#whenDone === undefined;
  }

  pause(): void {}

  resume(): void {
    while (this.#held.length > 0 && this.#context.pressure === "ok")
      this.#store(this.#held.shift() ?? "");
  }

  async close(signal: AbortSignal): Promise<void> {
    const done = new Promise<void>((resolve) => {
      this.#whenDone = resolve;
    });
    const force = (): void => {
      this.#isForced = true;
      for (const text of this.#held.splice(0))
        this.#context.giveUp(buildBlock({ value: text }), toError(signal.reason));
      this.#whenDone?.();
    };
    if (signal.aborted) force();
    signal.addEventListener("abort", force, { once: true });
    this.#finishIfDone();
    await done;
  }

  #received(bytes: Uint8Array): void | Promise<void> {
    const text = Buffer.from(bytes).toString();
    if (text.startsWith(LATE_POISON)) return Promise.reject(new RangeError(text));
    if (text.startsWith(POISON)) throw new RangeError(text);
    if (this.#held.length > 0 || this.#context.pressure === "full") this.#held.push(text);
    else this.#store(text);
  }

  #store(text: string): void {
    const block = buildBlock({ value: text });
    this.#pendingCount++;
    this.#context.storeBlock(block).then(
      () => this.#settled(),
      (cause: unknown) => {
        if (codeOf(cause) === "BUSY" && !this.#isForced) this.#holdAgain(text);
        else this.#context.giveUp(block, toError(cause));
        this.#settled();
      },
    );
  }

  #holdAgain(text: string): void {
    this.#held.unshift(text);
    const { clock, pressure } = this.#context;
    // The pressure has fallen meanwhile, so nobody will call `resume`.
    if (pressure === "ok") clock.after(RETRY_MS, () => this.resume());
  }

  #settled(): void {
    this.#pendingCount--;
    this.#finishIfDone();
  }

  #finishIfDone(): void {
    if (this.#pendingCount === 0 && this.#held.length === 0) this.#whenDone?.();
  }
}

/** Nobody sends again what it was given. */
export class Push {
  readonly receiver: Receiver<"push">;
  /** What an open incarnation was given. */
  readonly read: string[] = [];
  #session: PushSession | undefined;

  constructor() {
    const define = defineReceiver({
      type: "push",
      redelivers: false,
      options: schema.object({}),
      open: async (context) => {
        this.#session = new PushSession(context);
        return this.#session;
      },
    });
    this.receiver = pressed(define("push", {}));
  }

  deliver(text: string): void {
    if (this.#session?.isReading !== true) return;
    this.read.push(text);
    this.#session.receive(Buffer.from(text));
  }
}

/** Reads a list from where its last durable block ended. */
export class Pull {
  readonly source: string[] = [];
  readonly receiver: Receiver<"pull">;
  /** Called with where it starts, before anything is read. */
  onOpen: (position: number) => void = () => undefined;
  #wake: () => void = () => undefined;

  constructor() {
    const define = defineReceiver({
      type: "pull",
      redelivers: true,
      options: schema.object({}),
      open: async (context) => {
        const position = Number(Buffer.from(context.resumePosition("list") ?? "0").toString());
        this.onOpen(position);
        return { run: () => this.#run(context, position), close: () => this.#wake() };
      },
    });
    this.receiver = define("pull", {});
  }

  add(texts: readonly string[]): void {
    this.source.push(...texts);
    this.#wake();
  }

  async #run({ signal, store }: Context, position: number): Promise<void> {
    for (let next = position; !signal.aborted; ) {
      const text = this.source[next];
      if (text === undefined) await this.#more(signal);
      else {
        next += 1;
        await store({ value: text }, { channel: "list", position: Buffer.from(String(next)) });
      }
    }
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
