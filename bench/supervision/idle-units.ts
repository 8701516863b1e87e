import { nactSystem, plainNact } from "../../test/support/plain-nact.ts";
import { realClock } from "../../src/host/clock.ts";
import { benchTree } from "./tree.ts";

export interface IdleUnitsOptions {
  readonly of: "unit" | "actor";
  readonly count: number;
}

export interface IdleUnitsNumbers {
  readonly bytesPerUnit: number;
}

/** Turns for everything that starting leaves behind to be gone. */
const settleTurns = 20;

/** Heap per unit that is open and has nothing to do: its own, its supervisor's and nact's share. */
export async function idleUnits({ of, count }: IdleUnitsOptions): Promise<IdleUnitsNumbers> {
  const start = of === "unit" ? units() : actors();
  start(0, 1_000);
  const before = await heapUsed();
  start(1_000, 1_000 + count);
  const bytesPerUnit = ((await heapUsed()) - before) / count;
  start(1_000 + count, 1_001 + count);
  return { bytesPerUnit };
}

function units(): (from: number, to: number) => void {
  const tree = benchTree();
  const session = { handle: () => undefined, close: () => undefined };
  const open = (): Promise<typeof session> => Promise.resolve(session);
  return (from, to) => {
    for (let index = from; index < to; index++) tree.start<number>({ name: `unit-${index}`, open });
  };
}

function actors(): (from: number, to: number) => void {
  const system = nactSystem();
  const handle = (): undefined => undefined;
  return (from, to) => {
    for (let index = from; index < to; index++) plainNact.spawn(system, handle, `unit-${index}`);
  };
}

async function heapUsed(): Promise<number> {
  for (let turn = 0; turn < settleTurns; turn++) await realClock.yield();
  if (globalThis.gc === undefined) throw new Error("start node with --expose-gc");
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}
