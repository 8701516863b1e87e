import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { DeadLetter } from "../../src/contract/dead-letters.ts";
import type { Log } from "../../src/contract/log.ts";
import type { Receiver, ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { HoldfastError } from "../../src/errors.ts";
import { realHost } from "../../src/host/real-host.ts";
import { Intake } from "../../src/intake.ts";
import { silentLogger } from "../support/logger.ts";
import { PacedLog } from "../support/paced-log.ts";
import { settle } from "../support/receiver-harness.ts";
import { Unit } from "../support/unit.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

class Scene {
  readonly clock: VirtualClock = new VirtualClock();
  readonly letters: DeadLetter[] = [];
  readonly events: string[] = [];
  readonly contexts: ReceiverContext<unknown>[] = [];
  /** What the receiver's sessions were told. */
  readonly calls: string[] = [];
  readonly intake: Intake;
  readonly log: PacedLog;
  /** What the next open comes to instead. */
  opening: Promise<ReceiverSession> | undefined;
  session: Partial<ReceiverSession> = {};

  constructor(redelivers: boolean, aliveWithinMs?: number) {
    const { clock } = this;
    this.log = new PacedLog({
      clock,
      writeMs: 5,
      pressureBytes: 1_000,
      storeTimeoutMs: 1_000,
      pressure: () => undefined,
    });
    const receiver: Receiver = {
      kind: "receiver",
      type: "push",
      name: "meters",
      redelivers,
      ...(aliveWithinMs === undefined ? {} : { aliveWithinMs }),
      options: {},
      common: { inflightBytesMax: 1_000, storeTimeoutMs: 1_000 },
      open: (context) => this.#open(context),
    };
    this.intake = new Intake({
      receiver,
      host: { ...realHost(), clock },
      // Decode boundary: an intake uses no more of a log than this.
      log: this.log as unknown as Log,
      deadLetters: {
        nextOffset: 0,
        keysFrom: () => Promise.resolve(new Set()),
        add: async (letters) => void this.letters.push(...letters),
      },
      logger: silentLogger,
      emit: (kind) => void this.events.push(kind),
      appended: () => undefined,
    });
  }

  get context(): ReceiverContext<unknown> {
    const context = this.contexts.at(-1);
    if (context === undefined) throw new Error("never opened");
    return context;
  }

  /** Stage, code and text of the letters. */
  kept(): readonly string[] {
    return this.letters.map(
      ({ stage, code, bytes }) => `${stage} ${code} ${Buffer.from(bytes).toString()}`,
    );
  }

  #open(context: ReceiverContext<unknown>): Promise<ReceiverSession> {
    this.contexts.push(context);
    const { epoch } = context;
    const session: ReceiverSession = {
      address: { host: "h", port: epoch },
      pause: () => void this.calls.push(`pause ${epoch}`),
      resume: () => void this.calls.push(`resume ${epoch}`),
      close: () => void this.calls.push(`close ${epoch}`),
      ...this.session,
    };
    return this.opening ?? Promise.resolve(session);
  }
}

const never = new AbortController().signal;

/** Whether a promise is settled by now. */
async function isSettled(work: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  work.then(note, note);
  await settle();
  return settled;
}

test("intake: where the upstream sends again, a fence refuses at once", async () => {
  const scene = new Scene(true);
  await scene.intake.definition().open(new Unit(1));
  void scene.intake.definition().fence?.(2);
  await rejects(scene.context.store({ value: "late" }), { code: "STORE_FENCED" });
});

test("intake: where it does not, what was read is stored until the session has closed", async () => {
  const scene = new Scene(false);
  const unit = new Unit(1);
  const session = await scene.intake.definition().open(unit);
  const fenced = scene.intake.definition().fence?.(2) ?? Promise.resolve();
  unit.abort.abort();
  const stored = scene.context.store({ value: "held" });
  equal(await isSettled(fenced), false);
  await session.close(never);
  await settle();
  await rejects(scene.context.store({ value: "late" }), { code: "STORE_FENCED" });
  equal(await isSettled(fenced), false);
  await scene.clock.advance(5);
  await Promise.all([stored, fenced]);
  deepEqual(
    scene.log.durable.map(({ texts }) => texts),
    [["held"]],
  );
});

test("intake: a close that does not end holds the fence up only until it is forced", async () => {
  const scene = new Scene(false);
  scene.session = { close: () => new Promise(() => undefined) };
  const session = await scene.intake.definition().open(new Unit(1));
  const fenced = scene.intake.definition().fence?.(2) ?? Promise.resolve();
  const force = new AbortController();
  void session.close(force.signal);
  equal(await isSettled(fenced), false);
  force.abort();
  await fenced;
  await rejects(scene.context.store({ value: "late" }), { code: "STORE_FENCED" });
  scene.intake.pause("log");
  deepEqual(scene.calls, []);
});

test("intake: an open that does not end holds no fence up; what opens too late is only closed", async () => {
  for (const redelivers of [true, false]) {
    const scene = new Scene(redelivers);
    let opened: (session: ReceiverSession) => void = () => undefined;
    scene.opening = new Promise((resolve) => {
      opened = resolve;
    });
    const unit = new Unit(1);
    const opening = scene.intake.definition().open(unit);
    unit.abort.abort();
    await scene.intake.definition().fence?.(2);
    scene.opening = undefined;
    await scene.intake.definition().open(new Unit(2));
    opened({
      address: { host: "h", port: 1 },
      pause: () => void scene.calls.push("pause 1"),
      close: () => void scene.calls.push("close 1"),
    });
    const late = await opening;
    deepEqual(scene.events, ["receiver-started"]);
    equal(scene.intake.address?.port, 2);
    scene.intake.pause("log");
    await late.close(never);
    deepEqual(scene.calls, ["pause 2", "close 1"]);
    scene.intake.close();
  }
});

test("intake: a fence holds although the log was closed and knows nothing of it", async () => {
  const scene = new Scene(true);
  await scene.intake.definition().open(new Unit(1));
  scene.log.fail();
  await rejects(scene.intake.definition().fence?.(2) ?? Promise.resolve(), { code: "LOG_CLOSED" });
  scene.log.reopen();
  await scene.intake.definition().open(new Unit(2));
  const [old] = scene.contexts;
  await rejects(old?.store({ value: "late" }) ?? Promise.resolve(), { code: "STORE_FENCED" });
});

test("intake: a session that closes hears of room before the next one, and counts its connections", async () => {
  const scene = new Scene(true);
  scene.session = { close: () => new Promise(() => undefined) };
  const first = await scene.intake.definition().open(new Unit(1));
  scene.context.connections(3);
  const force = new AbortController();
  void first.close(force.signal);
  await scene.intake.definition().open(new Unit(2));
  scene.context.connections(1);
  equal(scene.intake.status().connections, 4);
  scene.intake.pause("log");
  scene.intake.resume("log");
  deepEqual(scene.calls, ["pause 1", "pause 2", "resume 1", "resume 2"]);
  force.abort();
  await settle();
  equal(scene.intake.status().connections, 1);
});

test("intake: a session that throws when it is paused or resumed fails, and nobody else notices", async () => {
  const scene = new Scene(true);
  const unit = new Unit(1, true);
  const throws = (): never => {
    throw new RangeError("a bug");
  };
  scene.session = { pause: throws, resume: throws };
  await scene.intake.definition().open(unit);
  scene.intake.pause("log");
  scene.intake.resume("log");
  equal(unit.failures.length, 2);
});

const BUG = new HoldfastError("DECODE_FAILED", "not a reading");
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

for (const { redelivers, isResumed, isKept } of [
  { redelivers: true, isResumed: true, isKept: true },
  { redelivers: true, isResumed: false, isKept: false },
  { redelivers: false, isResumed: true, isKept: true },
  { redelivers: false, isResumed: false, isKept: true },
]) {
  const what = `${isResumed ? "resumed" : "ended"}, ${redelivers ? "sent again" : "not sent again"}`;
  test(`intake: the bytes that a receiver fails on are ${isKept ? "kept" : "dropped"} when it is ${what}`, async () => {
    const scene = new Scene(redelivers);
    const unit = new Unit(1, isResumed);
    await scene.intake.definition().open(unit);
    const { guard, fail } = scene.context;
    const chunk = bytes("sync");
    guard<[Uint8Array]>(() => {
      throw BUG;
    })(chunk);
    chunk.fill(0);
    const shared = bytes("async");
    guard<[Uint8Array]>(async () => {
      await Promise.resolve();
      throw BUG;
    })(shared);
    // The buffer is read into again before the failure comes.
    shared.fill(0);
    await settle();
    fail(BUG, bytes("told"));
    guard<[string]>(() => {
      throw BUG;
    })("no bytes");
    fail(BUG);
    await settle();
    equal(unit.failures.length, 5);
    const texts = ["sync", "async", "told"].map((text) => `receive DECODE_FAILED ${text}`);
    deepEqual(scene.kept(), isKept ? texts : []);
    ok(scene.intake.status().dropped.size === 0);
  });
}

test("intake: how long a receiver may be silent is its unit's limit, and has none unless it says so", () => {
  equal(new Scene(true, 90_000).intake.definition().aliveWithinMs, 90_000);
  equal("aliveWithinMs" in new Scene(true).intake.definition(), false);
});
