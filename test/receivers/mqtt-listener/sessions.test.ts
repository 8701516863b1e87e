/**
 * QoS 2: what is stored once, whatever is sent again.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { idsOf } from "../../../receivers/mqtt-listener/sessions.ts";
import { HoldfastError } from "../../../src/errors.ts";
import {
  dialled,
  endScenes,
  message,
  type MqttWire,
  mqttWireScene,
  type MqttWireScene,
  turns,
} from "../../support/mqtt-wire.ts";

/** aedes has timers that keep the process. */
after(endScenes);

const KEPT = { clean: false };
const CHANNEL = "session:a";

async function commit({ engine }: MqttWireScene): Promise<void> {
  await turns();
  await engine.commit();
  await turns();
}

/** The receiver after a crash: what was durable is all that it knows. */
async function crashed({ engine }: MqttWireScene): Promise<MqttWireScene> {
  return await mqttWireScene({}, Infinity, engine.positions);
}

test("mqtt-listener: PUBREC comes after the record and its id, PUBCOMP after the id's release", async () => {
  const made = await mqttWireScene();
  const wire = await dialled(made, "a", KEPT);
  wire.publish("x", 2, 7);
  await turns();
  assert.deepEqual(wire.acknowledged("pubrec"), []);
  await commit(made);
  assert.deepEqual(wire.acknowledged("pubrec"), [7]);
  assert.deepEqual(idsOf(made.engine.positions.get(CHANNEL)), [7]);
  wire.send({ cmd: "pubrel", messageId: 7 });
  await turns();
  assert.deepEqual(wire.acknowledged("pubcomp"), []);
  await commit(made);
  assert.deepEqual(wire.acknowledged("pubcomp"), [7]);
  assert.deepEqual(idsOf(made.engine.positions.get(CHANNEL)), []);
});

test("mqtt-listener: several messages of QoS 2 in one turn are one block with all their ids", async () => {
  const made = await mqttWireScene();
  const wire = await dialled(made, "a", KEPT);
  wire.send(message("x", 2, 1), message("y", 2, 2), message("z", 2, 3));
  await turns();
  assert.deepEqual(made.engine.inflightBlocks, [["x", "y", "z"]]);
  await commit(made);
  assert.deepEqual(wire.acknowledged("pubrec"), [1, 2, 3]);
  assert.deepEqual(idsOf(made.engine.positions.get(CHANNEL)), [1, 2, 3]);
});

test("mqtt-listener: a client may send far more of QoS 2 than inflightMessagesMax before its first release", async () => {
  const made = await mqttWireScene({ inflightMessagesMax: 3 });
  const wire = await dialled(made, "a", KEPT);
  const ids = Array.from({ length: 50 }, (_, i) => i + 1);
  wire.send(...ids.map((id) => message(`m${id}`, 2, id)));
  for (let rounds = 0; rounds < 20; rounds++) await commit(made);
  assert.deepEqual([wire.isClosed, wire.acknowledged("pubrec")], [false, ids]);
  wire.send(...ids.map((messageId) => ({ cmd: "pubrel", messageId }) as const));
  await commit(made);
  assert.deepEqual(wire.acknowledged("pubcomp"), ids);
  assert.deepEqual(idsOf(made.engine.positions.get(CHANNEL)), []);
});

test("mqtt-listener: beyond 1,000 messages of QoS 2 without a release a client is ended, and loses nothing", async () => {
  const made = await mqttWireScene({ inflightMessagesMax: 1_000 });
  const wire = await dialled(made, "a", KEPT);
  const sent = Array.from({ length: 1_001 }, (_, i) => message(`m${i + 1}`, 2, i + 1));
  wire.send(...sent);
  for (let rounds = 0; rounds < 5; rounds++) await commit(made);
  assert.deepEqual([wire.isClosed, made.engine.codes], [true, ["BUSY"]]);
  assert.equal(made.engine.durable.length, 1_000);
});

for (const [name, again] of [
  ["over the same connection", (_made: MqttWireScene, wire: MqttWire) => Promise.resolve(wire)],
  ["over a new connection", (made: MqttWireScene) => dialled(made, "a", KEPT)],
  ["after a crash", async (made: MqttWireScene) => await dialled(await crashed(made), "a", KEPT)],
] as const) {
  test(`mqtt-listener: a message of QoS 2 that is sent again ${name} is stored once`, async () => {
    const made = await mqttWireScene();
    const wire = await dialled(made, "a", KEPT);
    wire.publish("x", 2, 7);
    await commit(made);
    const later = await again(made, wire);
    later.publish("x", 2, 7);
    await turns();
    assert.equal(later.acknowledged("pubrec").at(-1), 7);
    assert.deepEqual([made.engine.durable, made.engine.inflightBlocks], [["x"], []]);
  });
}

test("mqtt-listener: sent again while it is on its way to the disk, it is stored once and acknowledged after", async () => {
  const made = await mqttWireScene();
  const older = await dialled(made, "a", KEPT);
  older.publish("x", 2, 7);
  await turns();
  const newer = await dialled(made, "a", KEPT);
  newer.publish("x", 2, 7);
  await turns();
  assert.deepEqual([made.engine.inflightBlocks, newer.acknowledged("pubrec")], [[["x"]], []]);
  await commit(made);
  assert.deepEqual([made.engine.durable, newer.acknowledged("pubrec")], [["x"], [7]]);
});

test("mqtt-listener: an id that was released stands for a new message, also after a crash", async () => {
  const made = await mqttWireScene();
  const wire = await dialled(made, "a", KEPT);
  wire.publish("x", 2, 7);
  await commit(made);
  wire.send({ cmd: "pubrel", messageId: 7 });
  await commit(made);
  const later = await crashed(made);
  const again = await dialled(later, "a", KEPT);
  again.publish("y", 2, 7);
  await commit(later);
  assert.deepEqual([later.engine.durable, again.acknowledged("pubrec")], [["y"], [7]]);
});

test("mqtt-listener: a release that is asked for after a crash is durable before PUBCOMP; an unknown one is answered", async () => {
  const made = await mqttWireScene();
  const wire = await dialled(made, "a", KEPT);
  wire.publish("x", 2, 7);
  await commit(made);
  const later = await crashed(made);
  const again = await dialled(later, "a", KEPT);
  again.send({ cmd: "pubrel", messageId: 7 });
  await turns();
  assert.deepEqual(again.acknowledged("pubcomp"), []);
  await commit(later);
  again.send({ cmd: "pubrel", messageId: 9 });
  await turns();
  assert.deepEqual(again.acknowledged("pubcomp"), [7, 9]);
  assert.deepEqual(idsOf(later.engine.positions.get(CHANNEL)), []);
});

/** A client whose message is on disk, and the release of it under way. */
async function releasing(made: MqttWireScene): Promise<MqttWire> {
  const wire = await dialled(made, "a", KEPT);
  wire.publish("x", 2, 7);
  await commit(made);
  wire.send({ cmd: "pubrel", messageId: 7 });
  await turns();
  return wire;
}

test("mqtt-listener: a release that is asked for again over a new connection waits for the disk, too", async () => {
  const made = await mqttWireScene();
  await releasing(made);
  const again = await dialled(made, "a", KEPT);
  again.send({ cmd: "pubrel", messageId: 7 });
  await turns();
  assert.deepEqual(again.acknowledged("pubcomp"), [], "a crash now would bring the id back");
  await commit(made);
  assert.deepEqual(again.acknowledged("pubcomp"), [7]);
  assert.deepEqual(idsOf(made.engine.positions.get(CHANNEL)), []);
});

test("mqtt-listener: a release is not answered where its session cannot be read", async () => {
  // As it is of a newer program, or the log is being opened again.
  const unreadable = new Map([[CHANNEL, Uint8Array.of(9)]]);
  const made = await mqttWireScene({}, Infinity, unreadable);
  const wire = await dialled(made, "a", KEPT);
  wire.send({ cmd: "pubrel", messageId: 7 });
  await turns();
  assert.deepEqual([wire.acknowledged("pubcomp"), wire.isClosed], [[], true]);
  assert.deepEqual(made.engine.failures, []);
});

test("mqtt-listener: a release that cannot be stored is not answered, and its connection ends", async () => {
  const made = await mqttWireScene();
  const wire = await releasing(made);
  await made.engine.failOldest(new HoldfastError("LOG_FAILED", "no disk"));
  await turns();
  assert.deepEqual([wire.acknowledged("pubcomp"), wire.isClosed], [[], true]);
  assert.deepEqual(idsOf(made.engine.positions.get(CHANNEL)), [7]);
  const again = await dialled(made, "a", KEPT);
  again.send({ cmd: "pubrel", messageId: 7 });
  await commit(made);
  assert.deepEqual(again.acknowledged("pubcomp"), [7]);
});

test("mqtt-listener: what comes while an older session ends is kept", async () => {
  const made = await mqttWireScene();
  const wire = await dialled(made, "a", KEPT);
  wire.publish("x", 2, 1);
  await commit(made);
  const clean = made.streams.dial().connect("a");
  await turns();
  clean.destroy();
  const kept = await dialled(made, "a", KEPT);
  kept.publish("y", 2, 7);
  await turns();
  assert.deepEqual(made.engine.inflightBlocks, [[], ["y"]]);
  await made.engine.commit(1);
  const again = await dialled(made, "a", KEPT);
  again.publish("y", 2, 7);
  await commit(made);
  assert.deepEqual([made.engine.durable, again.acknowledged("pubrec")], [["x", "y"], [7]]);
});

test("mqtt-listener: with a clean session ids end with the connection, and those of a session before it, too", async () => {
  const made = await mqttWireScene();
  const wire = await dialled(made, "a", KEPT);
  wire.publish("x", 2, 7);
  await commit(made);
  wire.destroy();
  const clean = made.streams.dial().connect("a");
  await turns();
  assert.equal(clean.returnCode, undefined);
  await commit(made);
  assert.equal(clean.returnCode, 0);
  clean.publish("y", 2, 7).publish("y", 2, 7);
  await commit(made);
  clean.destroy();
  const another = await dialled(made, "a");
  another.publish("z", 2, 7);
  await commit(made);
  assert.deepEqual(made.engine.durable, ["x", "y", "z"]);
  assert.deepEqual(idsOf(made.engine.positions.get(CHANNEL)), []);
});

test("mqtt-listener: positions of a newer program are refused, not misread", () => {
  assert.throws(() => idsOf(Buffer.of(9, 0, 1)), { code: "LOG_VERSION" });
});

test("mqtt-listener: whatever breaks when, a client with a session that sends again has each message stored once", async () => {
  const fault = fc.constantFrom("none", "connection", "crash", "unheard crash", "refusal");
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ fault, commits: fc.nat(3) }), { minLength: 1, maxLength: 14 }),
      fc.integer({ min: 1, max: 6 }),
      async (steps, messageCount) => {
        let made = await mqttWireScene();
        const stored: string[] = [];
        const client = new Sender(messageCount);
        client.connected(await dialled(made, "a", KEPT));
        for (const step of steps) {
          client.pump();
          for (let i = 0; i < step.commits; i++) {
            await turns(2);
            await made.engine.commit(1);
            await turns(2);
            client.pump();
          }
          if (step.fault === "none") continue;
          if (step.fault === "refusal")
            await made.engine.failOldest(new HoldfastError("LOG_FULL", "no room"));
          if (step.fault === "unheard crash") await commit(made);
          if (step.fault.endsWith("crash")) {
            stored.push(...made.engine.durable);
            const before = made;
            made = await crashed(before);
          }
          // What was on its way behind a refused block is settled before anybody is read again.
          if (step.fault === "refusal") await failAll(made);
          client.connected(await dialled(made, "a", KEPT));
        }
        client.pump();
        for (let round = 0; !client.isDone && round < 100; round++) {
          await commit(made);
          if (client.isCut) client.connected(await dialled(made, "a", KEPT));
          client.pump();
        }
        stored.push(...made.engine.durable);
        assert.deepEqual(
          stored.toSorted(),
          Array.from({ length: messageCount }, (_, i) => `message ${i}`).toSorted(),
        );
        await endScenes();
      },
    ),
    { numRuns: 100 },
  );
});

/** A log without room refuses everything behind the block that waited too long. */
async function failAll({ engine }: MqttWireScene): Promise<void> {
  while (engine.inflightBlocks.length > 0)
    await engine.failOldest(new HoldfastError("LOG_FULL", "no room"));
  await turns();
}

/** A client that keeps its session: it sends each message with one id until it is released. */
class Sender {
  readonly #states: ("waiting" | "sent" | "received" | "released")[];
  #wire: MqttWire | undefined;
  #read = 0;

  constructor(messageCount: number) {
    this.#states = Array.from({ length: messageCount }, () => "waiting");
  }

  get isDone(): boolean {
    return this.#states.every((state) => state === "released");
  }

  get isCut(): boolean {
    return this.#wire?.isClosed ?? true;
  }

  /** After a connect everything that is not finished is sent again. */
  connected(wire: MqttWire): void {
    this.#wire?.destroy();
    this.#wire = wire;
    this.#read = 1;
    this.#states.forEach((state, i) => {
      if (state === "sent") this.#states[i] = "waiting";
      if (state === "received") wire.send({ cmd: "pubrel", messageId: i + 1 });
    });
  }

  /** Reads what came and sends what is due; at most 3 messages at a time. */
  pump(): void {
    const wire = this.#wire;
    if (wire === undefined) return;
    for (const packet of wire.packets.slice(this.#read)) {
      const i = (packet.messageId ?? 0) - 1;
      if (packet.cmd === "pubrec") {
        this.#states[i] = "received";
        wire.send({ cmd: "pubrel", messageId: i + 1 });
      }
      if (packet.cmd === "pubcomp") this.#states[i] = "released";
    }
    this.#read = wire.packets.length;
    let openCount = this.#states.filter((state) => /sent|received/.test(state)).length;
    for (const [i, state] of this.#states.entries()) {
      if (state !== "waiting" || openCount >= 3) continue;
      openCount++;
      this.#states[i] = "sent";
      wire.publish(`message ${i}`, 2, i + 1);
    }
  }
}
