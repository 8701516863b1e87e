/**
 * A receiver of your own: asks a thermometer for its temperature over HTTP, once per interval.
 *
 * What it promises to the engine: `run` rejects when the thermometer fails (the supervisor then decides), resolves
 * when it is told to stop, and every wait ends with the signal. `store` resolves when the record is on disk.
 */
import { defineReceiver, type ReceiverFactory, schema } from "holdfast";

/** What one writes for a thermometer. */
export interface ThermometerOptions {
  readonly url: string;
  /** @defaultValue 1,000 */
  readonly intervalMs?: number;
}

/** `thermometer("roof", { url: "http://10.0.0.7/reading" })`; in YAML `type: ./receiver.js#thermometer`. */
export const thermometer: ReceiverFactory<ThermometerOptions> = defineReceiver({
  type: "thermometer",
  redelivers: true, // what was not stored is measured again at the next interval
  options: schema.object({
    url: schema.string(),
    intervalMs: schema.durationMs({ default: 1_000, min: 100 }),
  }),
  open: async ({ options, clock, signal, store }) => ({
    async run() {
      for (; !signal.aborted; await clock.sleep(options.intervalMs, signal)) {
        const answer = await fetch(options.url, { signal });
        if (!answer.ok) throw new Error(`${options.url} answered ${answer.status}`);
        await store({ value: await answer.text(), timestampMs: clock.wallMs() });
      }
    },
    close() {},
  }),
});
