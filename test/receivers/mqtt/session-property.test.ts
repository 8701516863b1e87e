/**
 * A broker that keeps the rules of MQTT, and everything that can break between it and the log: the connection at any
 * byte, the program before and after a commit, the broker's memory of the session.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Packet } from "mqtt-packet";
import { BrokerSession } from "../../support/broker-session.ts";
import { type BrokerSide, MemoryBroker, turns } from "../../support/memory-broker.ts";
import { openAt } from "../../support/mqtt-scene.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";
import { manyRuns } from "../../support/runs.ts";

type Step =
  /** Somebody publishes at the broker. */
  | { readonly kind: "publish"; readonly qos: 1 | 2 }
  /** The broker sends what its window allows, the last packet cut off after so many bytes if the connection breaks next. */
  | { readonly kind: "send"; readonly count: number }
  /** The broker hears so many of the acknowledgements that are on the wire. */
  | { readonly kind: "hear"; readonly count: number }
  | { readonly kind: "commit" }
  /** The connection breaks; in the middle of a packet that was being sent. */
  | { readonly kind: "cut"; readonly bytes: number }
  /** The program dies, and starts again from what is on disk. */
  | { readonly kind: "kill" }
  /** The broker dies and forgets the session. */
  | { readonly kind: "forget" }
  /** The broker writes down what it knows. */
  | { readonly kind: "save" }
  /** The broker dies and goes on from what it wrote down last: it knows the session, and not what happened since. */
  | { readonly kind: "rewind" };

const WINDOW = 5;
/** Few ids, so that they are used again and again. */
const IDS = 7;

/** The broker, the wire, the program and its disk. */
class World {
  readonly session: BrokerSession = new BrokerSession({ window: WINDOW, ids: IDS });
  readonly network: MemoryBroker;
  readonly #protocolVersion: 4 | 5;
  /** Everything on disk, of all incarnations. */
  readonly durable: string[] = [];
  #engine: ReceiverHarness;
  /** Acknowledgements on the wire: lost when it breaks. */
  #onTheWire: Packet[] = [];

  constructor(protocolVersion: 4 | 5) {
    this.#protocolVersion = protocolVersion;
    this.network = new MemoryBroker(protocolVersion);
    this.#engine = new ReceiverHarness({ sockets: this.network });
  }

  get #side(): BrokerSide {
    return this.network.last;
  }

  /** A new incarnation with what is on disk. */
  async start(): Promise<void> {
    const engine = new ReceiverHarness({ sockets: this.network });
    for (const [channel, position] of this.#engine.positions)
      engine.positions.set(channel, position);
    this.#engine = engine;
    this.#onTheWire = [];
    const { isKept } = this.session;
    await openAt(this.network, engine, {
      isSessionPresent: isKept,
      options: { qos: 2, protocolVersion: this.#protocolVersion },
    });
    this.session.isKept = true;
    this.#note();
    const side = this.#side;
    const friendly = side.onPacket;
    side.onPacket = (packet) => {
      if (packet.cmd.startsWith("pub")) this.#onTheWire.push(packet);
      else friendly(packet);
    };
    side.send(...this.session.again());
    await turns();
  }

  /** What the incarnation has put on disk so far, once. */
  #note(): void {
    this.durable.push(...this.#engine.durable.splice(0));
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case "publish":
        return this.session.publish(step.qos);
      case "send":
        return await this.#send(step.count);
      case "hear":
        return await this.#hear(step.count);
      case "commit":
        return await this.#commit();
      case "cut":
        this.#sendPart(step.bytes);
        this.#side.reset();
        await turns();
        return await this.#restart();
      case "kill":
        this.#side.reset();
        return await this.start();
      case "save":
        return this.session.save();
      case "forget":
      case "rewind":
        this.session[step.kind]();
        this.#side.reset();
        await turns();
        return await this.#restart();
    }
  }

  /** Quiet weather until nothing moves any more. */
  async calm(): Promise<void> {
    for (let round = 0; round < 100 && !this.session.isEmpty; round++) {
      await this.#send(WINDOW);
      await this.#commit();
      await this.#hear(100);
    }
    assert.equal(this.session.isEmpty, true, "everything is delivered in the end");
  }

  async #send(count: number): Promise<void> {
    for (let sent = 0; sent < count; sent++) {
      const packet = this.session.next();
      if (packet !== undefined) this.#side.send(packet);
    }
    await turns(3);
  }

  #sendPart(byteCount: number): void {
    const packet = this.session.next();
    if (packet !== undefined)
      this.#side.sendBytes(this.#side.bytesOf(packet).subarray(0, byteCount));
  }

  async #hear(count: number): Promise<void> {
    for (const packet of this.#onTheWire.splice(0, count)) {
      const answer = this.session.hear(packet);
      // Whatever comes later: at this very moment it has to be on disk.
      this.#check();
      if (answer !== undefined) this.#side.send(answer);
    }
    await turns(3);
  }

  async #commit(): Promise<void> {
    await this.#engine.commit(1);
    this.#note();
    await turns(3);
  }

  /** The incarnation has failed: what it had accepted settles, then the next one opens. */
  async #restart(): Promise<void> {
    this.#engine.abort.abort(new Error("the incarnation is over"));
    const closed = this.#engine.session.close(new AbortController().signal);
    for (let commit = 0; commit < 3; commit++) await this.#commit();
    await closed;
    await this.start();
  }

  #check(): void {
    const stored = new Set(this.durable);
    for (const { text } of this.session.acknowledged)
      assert.ok(stored.has(text), `${text} is acknowledged and lost`);
    for (const { text, state } of this.session.inFlight.values())
      if (state === "release") assert.ok(stored.has(text), `${text} is received and lost`);
  }

  /** How often each QoS 2 message is in the log. */
  checkEnd(): void {
    this.#check();
    const counts = new Map<string, number>();
    for (const text of this.durable) counts.set(text, (counts.get(text) ?? 0) + 1);
    for (const { text, qos } of this.session.acknowledged)
      if (qos === 2 && !this.session.unsure.has(text))
        assert.equal(counts.get(text), 1, `${text} has QoS 2`);
    // The broker lost these itself; what it had delivered is there, and not twice.
    for (const { text, qos } of this.session.forgotten)
      if (qos === 2 && !this.session.unsure.has(text))
        assert.ok((counts.get(text) ?? 0) <= 1, `${text} has QoS 2`);
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("publish"), qos: fc.constantFrom(1, 2, 2) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("send"), count: fc.integer({ min: 1, max: WINDOW }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("hear"), count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("commit") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut"), bytes: fc.nat(12) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("kill") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("forget") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("save") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rewind") }) },
);

for (const protocolVersion of [4, 5] as const)
  test(`mqtt ${protocolVersion}: whatever breaks, nothing acknowledged is lost, and QoS 2 is stored exactly once`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
        const world = new World(protocolVersion);
        await world.start();
        for (const each of steps) await world.step(each);
        await world.calm();
        world.checkEnd();
      }),
      manyRuns,
    );
  });
