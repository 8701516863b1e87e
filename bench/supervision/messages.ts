import { realClock } from "../../src/host/clock.ts";
import { nactSystem, plainNact } from "../../test/support/plain-nact.ts";
import { benchTree, mailboxMax } from "./tree.ts";

/** Who takes the messages, for how long, and what else each turn of the event loop has to do. */
export interface MessagesOptions {
  readonly of: "unit" | "actor";
  readonly seconds: number;
  /** Milliseconds of other work in each turn; 0: none. */
  readonly workMs: number;
}

export interface MessagesNumbers {
  readonly perSecond: number;
  readonly cpuNsPerMessage: number;
}

/** Messages of an actor's queue at most: nact's has no limit of its own. */
const actorQueueMax = mailboxMax;
const warmUpShare = 0.25;

/** One that handles messages and can be told more. */
interface Receiving {
  handled(): number;
  /** Tells until no more is taken. */
  fill(): void;
  stop(): Promise<unknown>;
}

/** Messages that one supervised unit, or one plain actor of nact, handles in a synchronous handler. */
export async function messages({ of, seconds, workMs }: MessagesOptions): Promise<MessagesNumbers> {
  const receiving = of === "unit" ? await unit() : actor();
  let isBusy = true;
  if (workMs > 0) void work(workMs, () => isBusy);
  await load(receiving, seconds * warmUpShare);
  const handledBefore = receiving.handled();
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  await load(receiving, seconds);
  const tookMs = performance.now() - startMs;
  const { system, user } = process.cpuUsage(cpuBefore);
  const count = receiving.handled() - handledBefore;
  isBusy = false;
  await receiving.stop();
  return {
    perSecond: (count / tookMs) * 1_000,
    cpuNsPerMessage: ((system + user) * 1_000) / count,
  };
}

/** Keeps the queue filled, once in each turn. */
async function load(receiving: Receiving, seconds: number): Promise<void> {
  const untilMs = performance.now() + seconds * 1_000;
  while (performance.now() < untilMs) {
    receiving.fill();
    await realClock.yield();
  }
}

/** What a gateway's other parts do meanwhile. */
async function work(ms: number, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs);
    await realClock.yield();
  }
}

async function unit(): Promise<Receiving> {
  const tree = benchTree();
  let count = 0;
  let next = 0;
  const handle = (): void => void count++;
  const session = { handle, close: () => undefined };
  const ref = tree.start<number>({
    name: "unit",
    mailboxMax,
    open: () => Promise.resolve(session),
  });
  await ref.started;
  return {
    handled: () => count,
    fill: () => {
      while (ref.tell(next) === "ok") next++;
    },
    stop: () => tree.stop(),
  };
}

function actor(): Receiving {
  let count = 0;
  let next = 0;
  const reference = plainNact.spawn(nactSystem(), () => void count++, "actor");
  return {
    handled: () => count,
    fill: () => {
      while (next - count < actorQueueMax) plainNact.dispatch(reference, next++);
    },
    stop: () => Promise.resolve(plainNact.stop(reference)),
  };
}
