/**
 * The cases of the conformance suite for receivers.
 */
import { deepEqual, equal, notEqual, ok, rejects } from "node:assert/strict";
import type { ReceiverSubject, TrialUpstream } from "./receiver-conformance.ts";
import type { ReceiverTrial } from "./receiver-trial.ts";

/** What a case plays with. */
export interface Scene {
  readonly trial: ReceiverTrial;
  readonly upstream: TrialUpstream;
  readonly subject: ReceiverSubject;
}

/** Rejects with what went wrong. */
export type Case = (scene: Scene) => Promise<void>;

/** Messages that say which one they are; all bytes of a line, and more than ASCII. */
function messages(from: number, count: number, bytes = 0): readonly string[] {
  return Array.from({ length: count }, (_, i) => `{"n":${from + i},"é":"${"x".repeat(bytes)}"}`);
}

/** What is awaited, with the reason for which it most often does not come. */
const PRESSURE = "pressure (with one block on its way at a time there is none: holdsBack: false)";

/** Of a long message, where the receiver takes it. */
const LONG_BYTES = 8_000;
/** More than what is around the text of a message. */
const FRAME_BYTES = 40;

/** So many bytes in messages that are as long as the receiver takes them. */
function longMessages(
  { messageBytesMax = LONG_BYTES + FRAME_BYTES }: Pick<ReceiverSubject, "messageBytesMax">,
  from: number,
  bytes: number,
): readonly string[] {
  const each = Math.max(0, Math.min(LONG_BYTES, messageBytesMax - FRAME_BYTES));
  return messages(from, Math.ceil(bytes / (each + FRAME_BYTES)), each);
}

/** What a message is in the log. */
function asStored(list: readonly string[]): readonly string[] {
  return list.map((text) => Buffer.from(text).toString("latin1"));
}

async function acknowledgedAll({ trial, upstream, subject }: Scene, count: number): Promise<void> {
  if (!subject.acknowledges) return;
  await trial.until(
    `${count} acknowledgements`,
    async () => (await upstream.acknowledged()) === count,
  );
}

async function storedAll({ trial }: Scene, count: number): Promise<void> {
  await trial.until(`${count} records on disk`, () => trial.storedCount >= count);
}

/**
 * What holds after any break: acknowledged messages are there, in order; nothing is there that was not sent; and twice
 * only what may be.
 */
function judge(
  { subject }: Scene,
  facts: {
    readonly sent: readonly string[];
    readonly acknowledged: number;
    readonly stored: readonly string[];
  },
): void {
  const sent = asStored(facts.sent);
  const { acknowledged, stored } = facts;
  const counts = new Map<string, number>();
  for (const text of stored) counts.set(text, (counts.get(text) ?? 0) + 1);
  deepEqual(
    [...counts.keys()].filter((text) => !sent.includes(text)),
    [],
    "stored, and never sent",
  );
  const { afterBreak = subject.acknowledges ? "again" : "never" } = subject;
  const wanted = afterBreak === "never" ? sent.slice(0, acknowledged) : sent;
  deepEqual(
    wanted.filter((text) => !counts.has(text)),
    [],
    "missing in the log",
  );
  const firsts = [...new Set(stored)];
  deepEqual(
    firsts,
    sent.filter((text) => counts.has(text)),
    "order",
  );
  if (afterBreak !== "again") equal(stored.length, counts.size, "stored twice");
}

interface ConformanceCase {
  readonly run: Case;
  readonly applies?: (subject: ReceiverSubject) => boolean;
}

/** By title. */
export const CONFORMANCE_CASES: Readonly<Record<string, ConformanceCase>> = {
  "what is sent is in the log as it was sent, in order": {
    async run(scene) {
      const sent = messages(0, 300);
      await scene.upstream.send(sent);
      await storedAll(scene, sent.length);
      await acknowledgedAll(scene, sent.length);
      deepEqual(await scene.trial.records(), asStored(sent));
    },
  },

  "nothing is acknowledged before it is on disk, and all of it after": {
    applies: ({ acknowledges }) => acknowledges,
    async run(scene) {
      const { trial, upstream } = scene;
      const hold = trial.holdDisk();
      await upstream.send(messages(0, 20));
      await trial.until("a write on its way to the disk", () => hold.waiting > 0);
      await trial.quiet();
      equal(await upstream.acknowledged(), 0);
      hold.release();
      await acknowledgedAll(scene, 20);
    },
  },

  "what is acknowledged survives that the power goes": {
    async run(scene) {
      const { trial, upstream } = scene;
      const first = messages(0, 40);
      await upstream.send(first);
      await storedAll(scene, 40);
      await acknowledgedAll(scene, 40);
      const hold = trial.holdDisk();
      const second = messages(40, 20);
      await upstream.send(second);
      await trial.until("a write on its way to the disk", () => hold.waiting > 0);
      const acknowledged = scene.subject.acknowledges ? await upstream.acknowledged() : 40;
      equal(acknowledged, 40);
      await trial.crash();
      await upstream.reconnect();
      const third = messages(60, 1);
      await upstream.send(third);
      const sent = [...first, ...second, ...third];
      await acknowledgedAll(scene, sent.length);
      await trial.until("the last message", () => trial.storedCount > 40);
      judge(scene, { sent, acknowledged, stored: await trial.records() });
    },
  },

  "while the disk does not answer it takes no more than it may, and then everything in order": {
    applies: ({ holdsBack = true }) => holdsBack,
    async run(scene) {
      const { trial, upstream } = scene;
      const hold = trial.holdDisk();
      const sent = longMessages(scene.subject, 0, 1_600_000);
      const sending = upstream.send(sent);
      await trial.until(PRESSURE, () => trial.current.context.pressure === "full");
      await trial.quiet();
      if (scene.subject.acknowledges) equal(await upstream.acknowledged(), 0);
      hold.release();
      await trial.within("sending", sending);
      await storedAll(scene, sent.length);
      await acknowledgedAll(scene, sent.length);
      equal(trial.restartCount, 0, "restarts");
      deepEqual(await trial.records(), asStored(sent));
    },
  },

  "restarted while idle, it goes on": restartedWhile("idle"),
  "restarted with messages on their way to the disk, it loses none that it acknowledged":
    restartedWhile("in flight"),
  "restarted while paused, it loses none that it acknowledged": restartedWhile("paused"),
  "restarted as soon as it is open, many times, it goes on": {
    async run(scene) {
      const { trial, upstream } = scene;
      for (let round = 0; round < 5; round++) await trial.restart();
      await upstream.reconnect();
      await upstream.send(messages(0, 10));
      await storedAll(scene, 10);
      await acknowledgedAll(scene, 10);
    },
  },

  "an incarnation that is over stores nothing": {
    async run(scene) {
      const { trial } = scene;
      const old = trial.current.context;
      await trial.restart();
      ok(old.signal.aborted);
      notEqual(trial.current.context.epoch, old.epoch);
      await rejects(old.store({ value: "from the past" }), { code: "STORE_FENCED" });
      await rejects(old.storePosition("", Uint8Array.of(1)), { code: "STORE_FENCED" });
      deepEqual(await trial.records(), []);
    },
  },

  "closing twice, at once and later, and pausing after it, does nothing more": {
    async run(scene) {
      const { trial, upstream } = scene;
      await upstream.send(messages(0, 5));
      await storedAll(scene, 5);
      const { session } = trial.current;
      const { signal } = new AbortController();
      const close = async (): Promise<void> => session.close(signal);
      await trial.within("closing", Promise.all([close(), close(), trial.stop()]));
      session.pause?.();
      session.resume?.();
      await trial.within("closing again", Promise.resolve(session.close(AbortSignal.abort())));
    },
  },

  "an old session that closes late does not touch the new one": {
    async run(scene) {
      const { trial, upstream } = scene;
      const old = trial.current.session;
      await trial.restart();
      await upstream.reconnect();
      await trial.within("a late close", Promise.resolve(old.close(AbortSignal.abort())));
      old.pause?.();
      await upstream.send(messages(0, 10));
      await storedAll(scene, 10);
      await acknowledgedAll(scene, 10);
    },
  },

  "stopped with messages on their way, it ends in time and keeps what it acknowledged": {
    async run(scene) {
      const { trial, upstream } = scene;
      const sent = messages(0, 50);
      const sending = upstream.send(sent).catch(() => undefined);
      await trial.until("the first record", () => trial.storedCount > 0);
      const stored = await trial.records();
      const acknowledged = scene.subject.acknowledges ? await upstream.acknowledged() : 0;
      await trial.within("sending", sending);
      const missing = asStored(sent.slice(0, acknowledged)).filter(
        (text) => !stored.includes(text),
      );
      deepEqual(missing, []);
    },
  },

  "a message of the longest length passes": {
    async run(scene) {
      const { subject, upstream, trial } = scene;
      const { messageBytesMax = 2 ** 20 } = subject;
      const [empty = ""] = messages(0, 1);
      const sent = messages(0, 1, messageBytesMax - Buffer.byteLength(empty));
      await upstream.send(sent);
      await storedAll(scene, 1);
      await acknowledgedAll(scene, 1);
      deepEqual(await trial.records(), asStored(sent));
    },
  },

  "a message of 10 MB ends nothing but its own connection": {
    async run(scene) {
      const { trial, upstream } = scene;
      if (upstream.sendLarge === undefined) return;
      await trial.within("a large message", upstream.sendLarge(10_000_000));
      await goesOn(scene);
    },
  },

  "bytes that are no protocol end nothing but their own connection": {
    async run(scene) {
      const { trial, upstream } = scene;
      if (upstream.sendGarbage === undefined) return;
      for (const bytes of garbage()) await trial.within("garbage", upstream.sendGarbage(bytes));
      await goesOn(scene);
    },
  },
};

async function goesOn(scene: Scene): Promise<void> {
  const { trial, upstream } = scene;
  const before = trial.restartCount;
  await upstream.send(messages(0, 3));
  const [last = ""] = asStored(messages(2, 1));
  await acknowledgedAll(scene, 3);
  await trial.until("records behind it", () => trial.storedCount >= 3);
  equal(trial.restartCount, before, "restarts");
  ok((await trial.records()).includes(last));
}

/** Beginnings of many protocols, cut off, and bytes of no protocol at all; the same each time. */
function garbage(): readonly Uint8Array[] {
  const texts = [
    "GET / HTTP/1.1\r\n\r\n",
    "\x16\x03\x01\x02\x00",
    "\x10\xff\xff\xff\xff",
    "\xff\xff\xff\xff",
    "\0",
  ];
  let state = 12_345;
  const random = Uint8Array.from({ length: 4_096 }, () => {
    // A linear congruence (Numerical Recipes, 7.1): any bytes will do.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
  return [...texts.map((text) => Buffer.from(text, "latin1")), random];
}

function restartedWhile(state: "idle" | "in flight" | "paused"): ConformanceCase {
  return {
    applies: ({ holdsBack = true }) => holdsBack || state !== "paused",
    async run(scene) {
      const { trial, upstream, subject } = scene;
      const first = messages(0, 30);
      await upstream.send(first);
      await storedAll(scene, 30);
      await acknowledgedAll(scene, 30);
      const hold = trial.holdDisk();
      const second = {
        idle: [],
        "in flight": messages(30, 10),
        paused: longMessages(subject, 30, 800_000),
      }[state];
      const sending = upstream.send(second).catch(() => undefined);
      if (state === "in flight") await trial.until("a write", () => hold.waiting > 0);
      if (state === "paused")
        await trial.until(PRESSURE, () => trial.current.context.pressure === "full");
      trial.failNow();
      hold.release();
      await trial.reopened();
      const acknowledged = subject.acknowledges ? await upstream.acknowledged() : 30;
      await upstream.reconnect();
      await trial.within("sending", sending);
      const third = messages(1_000_000, 3);
      await upstream.send(third);
      const sent = [...first, ...second, ...third];
      await acknowledgedAll(scene, sent.length);
      const [last = ""] = asStored(messages(1_000_002, 1));
      if (!subject.acknowledges) await settled(scene);
      const stored = await trial.records();
      ok(stored.includes(last), "the last message");
      judge(scene, { sent, acknowledged, stored });
    },
  };
}

/** Without acknowledgements: until nothing new comes. */
async function settled({ trial }: Scene): Promise<void> {
  let before = -1;
  await trial.until("an end of what comes", async () => {
    const isSame = trial.storedCount === before;
    before = trial.storedCount;
    await trial.quiet();
    return isSame && before > 30;
  });
}
