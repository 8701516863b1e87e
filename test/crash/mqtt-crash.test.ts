/**
 * kill -9 of the program while devices send with QoS 1 and 2 and send again what was not acknowledged.
 */
import { deepEqual, ok } from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { copyOf } from "../../src/contract/record.ts";
import { realClock } from "../../src/host/clock.ts";
import { realFiles } from "../../src/host/real-files.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { openLogReader } from "../../src/wal/directory-reader.ts";
import { within } from "../support/deadline.ts";
import { freePorts } from "../support/free-port.ts";
import { MqttDevice } from "../support/mqtt-device.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";

const KILLS = 8;
const DEVICES = 3;
/** Messages that a device has under way. */
const WINDOW = 40;
const DEADLINE_MS = 30_000;

test("kill -9 loop: devices with QoS 1 lose nothing that was acknowledged, with QoS 2 each message is there once", async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const random = createSeededRandom(seed);
  const directory = await mkdtemp(join(tmpdir(), "holdfast-mqtt-crash-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const [port = 0] = await freePorts(1);
  const config = join(directory, "holdfast.yaml");
  await writeFile(
    config,
    `version: 1
data: ./data
log: { segmentMax: 4MiB, bytesMax: 256MiB }
receivers: { devices: { type: mqtt-listener, port: ${port}, anonymous: true } }
`,
  );
  const address = { host: "127.0.0.1", port };
  const devices = ([1, 2] as const).flatMap((qos) =>
    Array.from({ length: DEVICES }, (_, i) => ({
      qos,
      device: new MqttDevice(() => address, qos, `q${qos}-${i}`),
      name: `q${qos}-${i}`,
    })),
  );
  const start = async (): Promise<RunningProgram> => {
    const program = new RunningProgram({ arguments: [programPath, "run", config], directory });
    await within(DEADLINE_MS, "start", program.line(/listens|devices/));
    return program;
  };
  for (let kill = 0; kill <= KILLS; kill++) {
    const program = await start();
    try {
      const wanted = random.integer(1, 600);
      await within(DEADLINE_MS, "acknowledgements", load(devices, kill === KILLS ? 0 : wanted));
    } catch (cause) {
      throw new Error(`seed ${seed}; the program printed:\n${program.output}`, { cause });
    } finally {
      await program.kill();
    }
  }
  for (const { device } of devices) await device.close();
  const stored = await texts(join(directory, "data", "log"));
  const counts = new Map<string, number>();
  for (const text of stored) counts.set(text, (counts.get(text) ?? 0) + 1);
  const resent = devices.reduce((sum, { device }) => sum + device.resentCount, 0);
  t.diagnostic(`${stored.length} records, ${resent} sent again`);
  ok(resent > 0, "nothing was sent again");
  const sent = devices.flatMap(({ device }) => device.sent);
  deepEqual(
    sent.filter((text) => !counts.has(text)),
    [],
    `lost, seed ${seed}`,
  );
  deepEqual(
    [...counts].filter(([text, count]) => text.startsWith("q2") && count !== 1),
    [],
    `stored twice, seed ${seed}`,
  );
});

type Sender = { readonly device: MqttDevice; readonly name: string };

/** Devices connect and send until so many messages are acknowledged; 0: until everything is, and nothing new is sent. */
async function load(senders: readonly Sender[], wanted: number): Promise<void> {
  const before = acknowledged(senders);
  await new Promise<void>((resolve, reject) => {
    const look = ({ device, name }: Sender): void => {
      const total = acknowledged(senders);
      if (wanted === 0 && total === sentCount(senders)) resolve();
      if (wanted === 0) return;
      if (total - before >= wanted) return resolve();
      const open = device.sent.length - device.acknowledged();
      const more = Array.from(
        { length: Math.max(0, WINDOW - open) },
        (_, i) => `${name}:${device.sent.length + i}`,
      );
      if (more.length > 0) device.send(more).catch(reject);
    };
    for (const sender of senders) sender.device.onAcknowledged = () => look(sender);
    Promise.all(senders.map((sender) => sender.device.reconnect().then(() => look(sender)))).catch(
      reject,
    );
  });
  for (const { device } of senders) device.onAcknowledged = () => undefined;
}

function acknowledged(senders: readonly Sender[]): number {
  return senders.reduce((sum, { device }) => sum + device.acknowledged(), 0);
}

function sentCount(senders: readonly Sender[]): number {
  return senders.reduce((sum, { device }) => sum + device.sent.length, 0);
}

async function texts(directory: string): Promise<readonly string[]> {
  const reader = await openLogReader({ files: realFiles, clock: realClock, directory });
  const found: string[] = [];
  for await (const item of reader.read(0, new AbortController().signal)) {
    if (item.kind !== "records") throw new Error(`records ${item.from} to ${item.to} are lost`);
    for (let i = 0; i < item.block.count; i++)
      found.push(Buffer.from(copyOf(item.block, i)).toString());
  }
  await reader.close();
  return found;
}
