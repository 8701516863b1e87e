/**
 * The real program at a real mosquitto: one of the two is killed again and again while somebody publishes. In the end
 * the log and the sink are read from disk.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { idsOfParts } from "../../crash/stored-ids.ts";
import { Mosquitto, mosquittoSkip } from "../../services/mosquitto.ts";
import { eventually, within } from "../../support/deadline.ts";
import { freePorts } from "../../support/free-port.ts";
import { scrape } from "../../support/metrics.ts";
import { MqttPublisher } from "../../support/mqtt-publisher.ts";
import { MqttTap } from "../../support/mqtt-tap.ts";
import { recordsOnDisk } from "../../support/records-on-disk.ts";
import { programPath, RunningProgram } from "../../support/running-program.ts";
import { createSeededRandom } from "../../../src/testing/seeded-random.ts";

const skip = mosquittoSkip();
/** More by HOLDFAST_KILLS=N. */
const KILLS = Number(process.env["HOLDFAST_KILLS"] ?? 4);
const DEADLINE_MS = 60_000;
/** Acknowledgements between two kills, at most. */
const ACKS_MAX = 200;
/** Messages on their way to the broker at a time. */
const PUBLISHING = 20;
/** For an orderly end. */
const STOP_MS = 20_000;

/** A data directory, and the program on it. */
class Gateway implements AsyncDisposable {
  readonly directory: string;
  #consolePort = 0;
  #program: RunningProgram | undefined;

  constructor(directory: string) {
    this.directory = directory;
  }

  async configure(port: number, qos: number): Promise<void> {
    const [consolePort = 0] = await freePorts(1);
    this.#consolePort = consolePort;
    const config = {
      version: 1,
      data: "./data",
      // A broker that is killed ten times a minute is no reason to wait in a test.
      supervision: {
        eager: {
          maxRestarts: 1_000,
          within: "1m",
          backoff: { min: "20ms", max: "200ms", resetAfter: "1s" },
        },
      },
      receivers: {
        field: {
          type: "mqtt",
          supervision: "eager",
          url: `mqtt://127.0.0.1:${port}`,
          topics: ["field/#"],
          qos,
          // mosquitto 2.0.11 sends past a receive maximum with QoS 2.
          receiveMaximum: qos === 2 ? 65_535 : 50,
        },
      },
      sinks: { out: { type: "json-lines", directory: "./out", partAgeMax: "1s" } },
      pipelines: { all: { from: ["field"], decode: "json", sinks: ["out"] } },
      console: { port: consolePort },
    };
    // JSON is YAML.
    await writeFile(join(this.directory, "holdfast.yaml"), JSON.stringify(config));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async start(): Promise<void> {
    this.#program = new RunningProgram({
      arguments: [programPath, "run", "holdfast.yaml"],
      directory: this.directory,
    });
  }

  async kill(): Promise<void> {
    await this.#program?.kill();
  }

  /** Once everything that is stored is in the sink. */
  async stop(): Promise<void> {
    const caughtUp = async (): Promise<boolean> => {
      if (this.#program?.exit !== undefined) throw new Error(this.#program.output);
      // The console is the last to listen; records may be acknowledged before.
      const metrics = await scrape(this.#consolePort).catch(() => undefined);
      return metrics?.sum("holdfast_pipeline_lag_records", -1) === 0;
    };
    await eventually("lag 0", caughtUp, { everyMs: 20, deadlineMs: DEADLINE_MS });
    const exit = await this.#program?.stop(STOP_MS);
    assert.equal(exit?.code, 0, this.#program?.output);
  }
}

/** Publishes numbered messages until it is told to stop; resolves with the ids that the broker has taken. */
async function publishing(
  publisher: MqttPublisher,
  qos: 1 | 2,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const taken: string[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    while (!signal.aborted) {
      const id = `${next++}`;
      // What is refused, because the broker was just killed, is not tried again: it might be there.
      await publisher.publish(`field/${id}`, `{"id":"${id}"}`, { qos }).then(
        () => taken.push(id),
        () => undefined,
      );
    }
  };
  await Promise.all(Array.from({ length: PUBLISHING }, one));
  return taken;
}

interface Outcome {
  readonly taken: readonly string[];
  readonly acknowledged: readonly string[];
  /** How often each id is in the log, and in the finished parts of the sink. */
  readonly logged: ReadonlyMap<string, number>;
  readonly inSink: ReadonlyMap<string, number>;
  readonly forgottenByBroker: ReadonlySet<string>;
}

async function run(
  qos: 1 | 2,
  seed: number,
  killOnce: (gateway: Gateway, broker: Mosquitto) => Promise<void>,
): Promise<Outcome> {
  const random = createSeededRandom(seed);
  const directory = await mkdtemp(join(tmpdir(), "holdfast-mqtt-kill-"));
  await using broker = await Mosquitto.start({ persistence: true, inflightMax: 50 });
  await using tap = await MqttTap.start(broker.port);
  await using publisher = await MqttPublisher.connect(broker.port);
  await using gateway = new Gateway(directory);
  let probes = 0;
  await gateway.configure(tap.port, qos);
  await gateway.start();
  await eventually(
    "a subscription",
    async () => {
      await publisher.publish("field/probe", `{"id":"probe${probes++}"}`, { qos });
      return tap.ackCount > 0;
    },
    { everyMs: 20, deadlineMs: DEADLINE_MS },
  );
  const stop = new AbortController();
  const published = publishing(publisher, qos, stop.signal);
  for (let kill = 0; kill < KILLS; kill++) {
    await within(
      DEADLINE_MS,
      "acknowledgements",
      tap.acks(1 + Math.floor(random.next() * ACKS_MAX)),
    );
    await killOnce(gateway, broker);
  }
  await within(DEADLINE_MS, "acknowledgements", tap.acks(ACKS_MAX));
  stop.abort();
  const taken = await published;
  await publisher.publish("field/last", '{"id":"last"}', { qos });
  await eventually("the last message", () => tap.acknowledged.has('{"id":"last"}'), {
    everyMs: 10,
    deadlineMs: DEADLINE_MS,
  });
  await gateway.stop();
  const logged = new Map<string, number>();
  for (const { value } of await recordsOnDisk(join(directory, "data"))) {
    const id = idOf(value);
    logged.set(id, (logged.get(id) ?? 0) + 1);
  }
  const inSink = await idsOfParts(join(directory, "out"));
  await rm(directory, { recursive: true, force: true });
  const acknowledged = [...tap.acknowledged].map(idOf);
  const forgottenByBroker = new Set([...tap.forgottenByBroker].map(idOf));
  return { taken, acknowledged, logged, inSink, forgottenByBroker };
}

function idOf(payload: string): string {
  return /^\{"id":"(\w+)"\}$/.exec(payload)?.[1] ?? payload;
}

/** What holds whoever was killed. */
function checkAcknowledged({ acknowledged, logged, inSink }: Outcome): void {
  assert.deepEqual(
    acknowledged.filter((id) => !logged.has(id)),
    [],
    "acknowledged and not in the log",
  );
  assert.deepEqual(
    [...logged].filter(([id, count]) => inSink.get(id) !== count),
    [],
    "the log and the sink differ",
  );
}

for (const qos of [1, 2] as const) {
  test(`mosquitto: the program is killed again and again, QoS ${qos}: nothing is lost${qos === 2 ? ", nothing is there twice" : ""}`, {
    skip,
  }, async () => {
    const outcome = await run(qos, 11 + qos, async (gateway) => {
      await gateway.kill();
      await gateway.start();
    });
    checkAcknowledged(outcome);
    assert.deepEqual(
      outcome.taken.filter((id) => !outcome.logged.has(id)),
      [],
      "the broker had these",
    );
    assert.equal(outcome.forgottenByBroker.size, 0);
    if (qos === 2)
      assert.deepEqual(
        [...outcome.logged].filter(([, count]) => count > 1),
        [],
      );
  });

  test(`mosquitto: the broker is killed again and again, QoS ${qos}: nothing that was acknowledged is lost`, {
    skip,
  }, async () => {
    const outcome = await run(qos, 21 + qos, async (_gateway, broker) => {
      await broker.kill();
      await broker.startAgain();
    });
    checkAcknowledged(outcome);
    // A message comes twice only where the broker itself has forgotten that it was received.
    if (qos === 2)
      assert.deepEqual(
        [...outcome.logged].filter(
          ([id, count]) => count > 1 && !outcome.forgottenByBroker.has(id),
        ),
        [],
      );
  });
}
