/** That the suite finds what it is for: receivers with one fault each. */
import { deepEqual, rejects } from "node:assert/strict";
import { test } from "node:test";
import { tcp } from "../../receivers/tcp/index.ts";
import type { Receiver, ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import type { RecordBlock } from "../../src/contract/record.ts";
import { receiverConformance } from "../../src/testing/index.ts";
import { LineDevice } from "../support/line-device.ts";

type Context = ReceiverContext<unknown>;
type Spoil = (
  context: Context,
  open: (context: Context) => Promise<ReceiverSession>,
) => Promise<ReceiverSession>;

/** The cases that fail with a receiver that is spoiled like this, of those that are asked for. */
async function failing(spoil: Spoil, words: readonly string[]): Promise<readonly string[]> {
  const tests = receiverConformance({
    name: "spoiled",
    create(options): Receiver {
      const receiver = tcp("meters", { port: 0, acknowledge: "count-line", ...options });
      return { ...receiver, open: (context) => spoil(context, (given) => receiver.open(given)) };
    },
    connect: (address) => LineDevice.connect(address, "counts"),
    acknowledges: true,
    waitMs: 1_500,
  });
  const failed: string[] = [];
  for (const word of words) {
    const chosen = tests.find(({ title }) => title.includes(word));
    if (chosen === undefined) throw new Error(`no case has ${word} in its title`);
    await chosen.run().catch(() => failed.push(word));
  }
  return failed;
}

/** A context whose blocks go another way. */
function through(context: Context, storeBlock: Context["storeBlock"]): Context {
  // Not a copy: `pressure` is asked again and again.
  return Object.defineProperty(Object.create(context) as Context, "storeBlock", {
    value: storeBlock,
  });
}

const SENT = "what is sent is in the log";
const EARLY = "nothing is acknowledged before";
const POWER = "the power goes";

test("receiver conformance: an acknowledgement that comes too early is found", async () => {
  const early: Spoil = (context, open) =>
    open(
      through(context, (block) => {
        void context.storeBlock(block).catch(() => undefined);
        return Promise.resolve({ firstOffset: 0, recordCount: block.count });
      }),
    );
  deepEqual(await failing(early, [SENT, EARLY, POWER]), [EARLY, POWER]);
});

test("receiver conformance: a record that is stored twice, left out or changed is found", async () => {
  const twice = (context: Context) => async (block: RecordBlock) => {
    void context.storeBlock(block);
    return await context.storeBlock(block);
  };
  const shorter = (context: Context) => (block: RecordBlock) =>
    context.storeBlock({ ...block, delimiterBytes: block.delimiterBytes + 1 });
  for (const make of [twice, shorter])
    deepEqual(await failing((context, open) => open(through(context, make(context))), [SENT]), [
      SENT,
    ]);
});

test("receiver conformance: a late close that ends the new session is found", async () => {
  let newest: ReceiverSession | undefined;
  const shared: Spoil = async (context, open) => {
    const session = await open(context);
    newest = session;
    // Whoever is closed, it is the newest.
    return {
      ...(session.address === undefined ? {} : { address: session.address }),
      close: (signal) => newest?.close(signal),
    };
  };
  deepEqual(await failing(shared, ["an old session that closes late"]), [
    "an old session that closes late",
  ]);
});

test("receiver conformance: no message is longer than the receiver takes", async () => {
  const tests = receiverConformance({
    name: "short",
    create: (options) =>
      tcp("meters", { port: 0, acknowledge: "count-line", messageBytesMax: 1_000, ...options }),
    connect: (address) => LineDevice.connect(address, "counts"),
    acknowledges: true,
    messageBytesMax: 1_000,
  });
  const words = ["takes no more than it may", "restarted while paused", "of the longest length"];
  const chosen = tests.filter(({ title }) => words.some((word) => title.includes(word)));
  deepEqual(chosen.length, words.length);
  for (const { run } of chosen) await run();
});

test("receiver conformance: what did not come in time is told with the failure of the receiver", async () => {
  const tests = receiverConformance({
    name: "spoiled",
    create(options): Receiver {
      const receiver = tcp("meters", { port: 0, acknowledge: "count-line", ...options });
      const failing = (context: Context): Context =>
        through(context, () => Promise.reject(context.fail(new Error("no such register"))));
      return { ...receiver, open: (context) => receiver.open(failing(context)) };
    },
    connect: (address) => LineDevice.connect(address, "counts"),
    acknowledges: true,
    waitMs: 500,
  });
  const run = tests.find(({ title }) => title.includes(SENT))?.run ?? (() => Promise.resolve());
  await rejects(
    run(),
    /not within 500 ms; it failed \d+ times, at last with INTERNAL: no such register/,
  );
});
