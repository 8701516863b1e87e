import { nactSystem, plainNact } from "../../test/support/plain-nact.ts";
import { realClock } from "../../src/host/clock.ts";
import { quantile } from "../statistics.ts";
import { benchTree } from "./tree.ts";

export interface CrashOptions {
  readonly of: "unit" | "actor";
  readonly crashes: number;
  /** Messages that wait when it crashes. */
  readonly queued: number;
}

export interface CrashNumbers {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The same without the time in which others had the processor. */
  readonly cpuP99Ms: number;
}

/** Messages between two crashes: the queue is filled again meanwhile. */
const messagesBetween = 64;
/** More than ever wait. */
const queueMax: number = 2 ** 17;
const warmUpCrashes = 20;

/** Milliseconds from the throw of a handler to the next message that is handled, while many wait. */
export async function crash({ of, crashes, queued }: CrashOptions): Promise<CrashNumbers> {
  const course = new Course();
  const { tell, stop } = of === "unit" ? await crashingUnit(course) : crashingActor(course);
  let told = 0;
  while (course.tookMs.length < crashes + warmUpCrashes) {
    for (; told - course.handled < queued; told++) tell(told);
    await realClock.yield();
  }
  await stop();
  const tookMs = sorted(course.tookMs);
  return {
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
    cpuP99Ms: quantile(sorted(course.cpuMs), 0.99),
  };
}

function sorted(samples: readonly number[]): readonly number[] {
  return samples.slice(warmUpCrashes).toSorted((left, right) => left - right);
}

/** The handler, and when it crashed. */
class Course {
  readonly tookMs: number[] = [];
  readonly cpuMs: number[] = [];
  handled = 0;
  #crashed: { readonly atMs: number; readonly cpu: NodeJS.CpuUsage } | undefined;

  handle(): void {
    if (this.#crashed !== undefined) this.#serves(this.#crashed);
    this.handled++;
    if (this.handled % messagesBetween !== 0) return;
    this.#crashed = { atMs: performance.now(), cpu: process.cpuUsage() };
    throw new Error("crash");
  }

  #serves({ atMs, cpu }: { readonly atMs: number; readonly cpu: NodeJS.CpuUsage }): void {
    this.#crashed = undefined;
    this.tookMs.push(performance.now() - atMs);
    const { system, user } = process.cpuUsage(cpu);
    this.cpuMs.push((system + user) / 1_000);
  }
}

interface Crashing {
  readonly tell: (message: number) => void;
  readonly stop: () => Promise<unknown>;
}

async function crashingUnit(course: Course): Promise<Crashing> {
  const tree = benchTree();
  const unit = tree.start<number>({
    name: "unit",
    mailboxMax: queueMax,
    open: () => Promise.resolve({ handle: () => course.handle(), close: () => undefined }),
  });
  await unit.started;
  const tell = (message: number): void => {
    if (unit.tell(message) !== "ok") throw new Error(`message ${message} was refused`);
  };
  return { tell, stop: () => tree.stop() };
}

function crashingActor(course: Course): Crashing {
  const actor = plainNact.spawn(nactSystem(), () => course.handle(), "actor", {
    onCrash: (_message, _error, { reset }) => reset,
  });
  const stop = (): Promise<void> => Promise.resolve(plainNact.stop(actor));
  return { tell: (message) => plainNact.dispatch(actor, message), stop };
}
