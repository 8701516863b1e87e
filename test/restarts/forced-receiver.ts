/** A real receiver that fails on command, in every way a receiver can, and keeps account of what it accepted. */
import type { Receiver, ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import type { RecordBlock, Stored } from "../../src/contract/record.ts";
import { codeOf } from "../../src/errors.ts";
import { deferred, type Deferred } from "../../src/actor/waits.ts";

/** How it fails. */
export const FORCES = [
  "guarded throw",
  "guarded rejection",
  "external fail",
  "run rejects",
  "open throws",
  "open rejects",
  "close throws",
  "close hangs",
  "open hangs",
] as const;
export type Force = (typeof FORCES)[number];
type Opening = Extract<Force, `open ${string}`>;
type Closing = Extract<Force, `close ${string}`>;

/** Records by what became of them. */
export interface Accounts {
  readonly accepted: number;
  readonly stored: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
}

/** See the file's head. */
export class ForcedReceiver<const Name extends string> implements Receiver<Name> {
  readonly kind = "receiver";
  readonly name: Name;
  readonly type: string;
  readonly redelivers: boolean;
  readonly options: unknown;
  readonly common: Receiver["common"];
  readonly #inner: Receiver<Name>;
  readonly #refused = new Map<string, number>();
  #accepted = 0;
  #stored = 0;
  #context: ReceiverContext<unknown> | undefined;
  #run: Deferred = deferred();
  #opening: Opening | undefined;
  #closing: Closing | undefined;
  /** What hangs ends when the next incarnation is there: it is late, not lost. */
  #hanging: Deferred = deferred();

  constructor(inner: Receiver<Name>) {
    this.#inner = inner;
    this.name = inner.name;
    this.type = inner.type;
    this.redelivers = inner.redelivers;
    this.options = inner.options;
    this.common = inner.common;
  }

  get accounts(): Accounts {
    const refused = Object.fromEntries(this.#refused);
    return { accepted: this.#accepted, stored: this.#stored, refused };
  }

  /** Makes the incarnation that runs fail, and the next one too where that is how. */
  force(force: Force): void {
    const cause = new Error(force);
    if (isOpening(force)) this.#opening = force;
    if (isClosing(force)) this.#closing = force;
    const context = this.#context;
    if (force === "run rejects") this.#run.reject(cause);
    else if (force === "guarded throw") context?.guard(() => throwIt(cause))();
    else if (force === "guarded rejection") context?.guard(() => Promise.reject(cause))();
    else context?.fail(cause);
  }

  open(context: ReceiverContext<unknown>): Promise<ReceiverSession> {
    this.#hanging.resolve();
    this.#hanging = deferred();
    const opening = this.#opening;
    this.#opening = undefined;
    switch (opening) {
      case "open throws":
        throw new Error(opening);
      case "open rejects":
        return Promise.reject(new Error(opening));
      case "open hangs":
        return this.#hanging.promise.then(() => Promise.reject(new Error(opening)));
      case undefined:
        return this.#open(context);
    }
  }

  async #open(context: ReceiverContext<unknown>): Promise<ReceiverSession> {
    // The context's pressure is a getter, and stays one.
    const counted: ReceiverContext<unknown> = Object.create(context, {
      storeBlock: { value: (block: RecordBlock) => this.#store(context, block) },
    });
    const session = await this.#inner.open(counted);
    this.#context = context;
    const run = deferred();
    this.#run = run;
    return {
      ...(session.address === undefined ? {} : { address: session.address }),
      pause: () => session.pause?.(),
      resume: () => session.resume?.(),
      run: () => run.promise,
      close: (signal) => this.#close(session, signal),
    };
  }

  async #close(session: ReceiverSession, signal: AbortSignal): Promise<void> {
    const closing = this.#closing;
    this.#closing = undefined;
    this.#run.resolve();
    await session.close(signal);
    if (closing === "close throws") throw new Error(closing);
    if (closing === "close hangs") await this.#hanging.promise;
  }

  async #store(context: ReceiverContext<unknown>, block: RecordBlock): Promise<Stored> {
    const { count } = block;
    this.#accepted += count;
    try {
      const stored = await context.storeBlock(block);
      this.#stored += stored.recordCount;
      return stored;
    } catch (cause) {
      const code = codeOf(cause);
      this.#refused.set(code, (this.#refused.get(code) ?? 0) + count);
      throw cause;
    }
  }
}

function isOpening(force: Force): force is Opening {
  return force.startsWith("open ");
}

function isClosing(force: Force): force is Closing {
  return force.startsWith("close ");
}

function throwIt(cause: Error): never {
  throw cause;
}
