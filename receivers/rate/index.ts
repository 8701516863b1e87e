/**
 * `holdfast/receivers/rate`: records at a steady rate, for demonstrations and load.
 */
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import type { RecordInput } from "../../src/contract/record.ts";
import { defineReceiver, type ReceiverFactory } from "../../src/define-receiver.ts";
import { codeOf } from "../../src/errors.ts";
import { type ObjectSchema, schema } from "../../src/schema.ts";

/** Options with their defaults. */
export interface RateOptions {
  /** Devices, named `demo-1`, `demo-2` ...; 1 .. 10,000. @defaultValue 3 */
  readonly devices: number;
  /** Records per second of each device, 0.001 .. 1,000,000. @defaultValue 1 */
  readonly perSecond: number;
}

const options: ObjectSchema<Partial<RateOptions>, RateOptions> = schema.object({
  devices: schema.withDefault(schema.integer({ min: 1, max: 10_000 }), 3),
  perSecond: schema.withDefault(schema.number({ min: 0.001, max: 1_000_000 }), 1),
});

/** Ticks per second at most: above, a tick carries several rounds. */
const TICKS_PER_SECOND_MAX = 50;
/** Rounds that one tick makes up for at most, so that a pause is not followed by a flood. */
const ROUNDS_PER_TICK_MAX = 100_000;
/** The demo's temperatures walk around this, in degrees Celsius. */
const TEMPERATURE_MEAN = 21;
const TEMPERATURE_STEP = 0.5;
/** Share of the distance to the mean that each step goes back. */
const TEMPERATURE_PULL = 0.05;

/**
 * Every device sends `{"device":"demo-1","temperature":21.5,"at":1764000000000}`; its temperature walks at random.
 * While the log is full they are dropped and counted.
 */
export const rate: ReceiverFactory<Partial<RateOptions>> = defineReceiver({
  type: "rate",
  redelivers: false,
  options,
  open: (context) => Promise.resolve({ run: () => tick(context), close: () => undefined }),
});

async function tick(context: ReceiverContext<RateOptions>): Promise<void> {
  const { clock, random, signal } = context;
  const { devices, perSecond } = context.options;
  const temperatures = Array.from({ length: devices }, () => TEMPERATURE_MEAN);
  const startMs = clock.monotonicMs();
  let rounds = 0;
  while (!signal.aborted) {
    const due = Math.floor(((clock.monotonicMs() - startMs) / 1000) * perSecond) + 1;
    const missing = Math.min(due - rounds, ROUNDS_PER_TICK_MAX);
    const records: RecordInput[] = [];
    for (let round = 0; round < missing; round++) {
      for (const [index, temperature] of temperatures.entries()) {
        const next = temperature + stepFrom(temperature, random.next());
        temperatures[index] = next;
        records.push({ value: reading(index, next, clock.wallMs()) });
      }
    }
    await send(context, records);
    rounds = due;
    // Until the next round is due, counted from the start: pauses do not add up.
    const nextMs = startMs + (rounds / perSecond) * 1000 - clock.monotonicMs();
    await sleepUntilStop(clock, Math.max(nextMs, 1000 / TICKS_PER_SECOND_MAX), signal);
  }
}

function stepFrom(temperature: number, chance: number): number {
  const back = (temperature - TEMPERATURE_MEAN) * TEMPERATURE_PULL;
  return (chance - 0.5) * 2 * TEMPERATURE_STEP - back;
}

/** Stores what was made; without room it is dropped and counted, as nobody waits for it. */
async function send(
  context: ReceiverContext<RateOptions>,
  records: readonly RecordInput[],
): Promise<void> {
  if (records.length === 0) return;
  if (context.pressure === "full") return context.dropped(records.length, "pressure");
  try {
    await context.store(records);
  } catch (cause) {
    const code = codeOf(cause);
    context.dropped(records.length, code);
    if (code !== "BUSY" && code !== "LOG_FULL") throw cause;
  }
}

function reading(index: number, temperature: number, at: number): string {
  return JSON.stringify({
    device: `demo-${index + 1}`,
    temperature: Math.round(temperature * 10) / 10,
    at,
  });
}

/** A stop ends the pause; that is no failure. */
async function sleepUntilStop(
  clock: ReceiverContext<unknown>["clock"],
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  await clock.sleep(ms, signal).catch((cause: unknown) => {
    if (!signal.aborted) throw cause;
  });
}
