/**
 * Numbers that are sent to a topic while brokers and members come and go.
 */
import assert from "node:assert/strict";
import kafkajs, { type Producer } from "kafkajs";
import { pause } from "../../support/deadline.ts";

/** How often each value is there. */
export function countsOf(values: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

export function assertNoneTwice(values: readonly string[]): void {
  assert.deepEqual(
    [...countsOf(values)].filter(([, count]) => count > 1),
    [],
  );
}

/** Sends numbers one after the other until it is stopped; what a send's failure means for its record nobody knows. */
export class Traffic {
  readonly acknowledged: string[] = [];
  readonly unknown: Set<string> = new Set();
  #brokers: readonly string[];
  readonly #topic: string;
  readonly #partitions: number;
  readonly #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(brokers: readonly string[], topic: string, partitions: number) {
    this.#brokers = brokers;
    this.#topic = topic;
    this.#partitions = partitions;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /** Whether these values are all that was acknowledged, each once, and nothing that was not sent. */
  assertStoredOnce(values: readonly string[]): void {
    assertNoneTwice(values);
    const stored = new Set(values);
    assert.deepEqual(
      this.acknowledged.filter((value) => !stored.has(value)),
      [],
    );
    const sent = new Set([...this.acknowledged, ...this.unknown]);
    assert.deepEqual(
      values.filter((value) => !sent.has(value)),
      [],
    );
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    for (let id = 0; !signal.aborted; ) {
      const producer = this.#producer();
      try {
        await producer.connect();
        for (; !signal.aborted; id++) await this.#send(producer, String(id));
      } catch {
        // A new one goes on behind it.
        id++;
        await pause(100, signal);
      } finally {
        await producer.disconnect();
      }
    }
  }

  /** Without a second try it only asks the first of its brokers: each producer has another first one. */
  #producer(): Producer {
    const [first = "", ...others] = this.#brokers;
    this.#brokers = [...others, first];
    const client = new kafkajs.Kafka({
      brokers: [...this.#brokers],
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { retries: 0 },
    });
    return client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  }

  async #send(producer: Producer, value: string): Promise<void> {
    const partition = Number(value) % this.#partitions;
    this.unknown.add(value);
    await producer.send({ topic: this.#topic, messages: [{ value, partition }] });
    this.unknown.delete(value);
    this.acknowledged.push(value);
  }
}
