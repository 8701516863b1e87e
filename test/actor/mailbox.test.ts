import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Mailbox, SYSTEM_LANE_MAX } from "../../src/actor/mailbox.ts";
import { OFFERS_MAX } from "../../src/actor/offers.ts";
import { WATCHES_MAX, Watches } from "../../src/actor/watches.ts";
import { manyRuns } from "../support/runs.ts";

type Taken = string | number;
const stopped = new Error("stopped");

/** What a unit takes next: a signal is a string, a message a number. */
function take(mailbox: Mailbox<string, number>): Taken | undefined {
  const signal = mailbox.takeSignal();
  if (signal !== undefined) return signal;
  return mailbox.messageCount > 0 ? mailbox.takeMessage() : undefined;
}

function takeAll(mailbox: Mailbox<string, number>): readonly Taken[] {
  const taken: Taken[] = [];
  for (let next = take(mailbox); next !== undefined; next = take(mailbox)) taken.push(next);
  return taken;
}

test("mailbox: signals go first, each lane has its own limit and its order", () => {
  const mailbox = new Mailbox<string, number>(3);
  deepEqual(
    [1, 2, 3, 4].map((message) => mailbox.push(message)),
    [true, true, true, false],
  );
  for (let count = 0; count < SYSTEM_LANE_MAX; count++) equal(mailbox.order(`${count}`), true);
  equal(mailbox.order("one too many"), false);
  for (let count = 0; count < SYSTEM_LANE_MAX; count++) equal(take(mailbox), `${count}`);
  equal(take(mailbox), 1);
  equal(mailbox.push(5), true);
  deepEqual(takeAll(mailbox), [2, 3, 5]);
  equal(mailbox.isEmpty, true);
});

test("mailbox: grows over its first slots without losing the order", () => {
  const mailbox = new Mailbox<string, number>(1_000);
  for (let count = 0; count < 10; count++) mailbox.push(count);
  for (let count = 0; count < 5; count++) take(mailbox);
  for (let count = 10; count < 500; count++) mailbox.push(count);
  for (let expected = 5; expected < 500; expected++) equal(take(mailbox), expected);
  mailbox.push(1);
  deepEqual([mailbox.drain(stopped), mailbox.isEmpty], [[1], true]);
});

test("mailbox: a signal that follows comes after the messages before it, even when it is full", () => {
  const mailbox = new Mailbox<string, number>(2);
  mailbox.follow("first");
  mailbox.push(1);
  mailbox.push(2);
  mailbox.follow("after 2");
  equal(mailbox.push(3), false);
  equal(mailbox.displace(3), 1);
  deepEqual(takeAll(mailbox), ["first", 2, "after 2", 3]);
});

test("mailbox: what is set aside comes back ahead of what came later, in its order, however often", () => {
  const mailbox = new Mailbox<string, number>(4);
  for (const message of [1, 2, 3, 4]) mailbox.push(message);
  mailbox.stash(mailbox.takeMessage());
  mailbox.stash(mailbox.takeMessage());
  mailbox.follow("after 4");
  equal(mailbox.push(5), true);
  mailbox.unstash();
  mailbox.stash(mailbox.takeMessage());
  mailbox.unstash();
  deepEqual(takeAll(mailbox), [1, 2, 3, 4, "after 4", 5]);
});

test("mailbox: as many may be set aside as may wait, those given back and not handled yet included", () => {
  const mailbox = new Mailbox<string, number>(2);
  for (const message of [1, 2]) {
    mailbox.push(message);
    equal(mailbox.isStashFull, false);
    mailbox.stash(mailbox.takeMessage());
  }
  equal(mailbox.isStashFull, true);
  mailbox.unstash();
  equal(mailbox.isStashFull, true);
  mailbox.push(3);
  deepEqual(mailbox.drain(stopped), [1, 2, 3]);
});

test("mailbox: offers wait for room in their order; tells find none before them", async () => {
  const mailbox = new Mailbox<string, number>(1);
  mailbox.push(1);
  const accepted: number[] = [];
  const abort = new AbortController();
  const offer = (message: number, signal?: AbortSignal): Promise<void> =>
    mailbox.offer(message, signal).then(() => void accepted.push(message));
  const [second, third] = [offer(2), offer(3)];
  const fourth = rejects(offer(4, abort.signal), /changed its mind/);
  const fifth = rejects(offer(5), stopped);
  equal(take(mailbox), 1);
  equal(mailbox.push(9), false);
  await second;
  deepEqual(accepted, [2]);
  equal(take(mailbox), 2);
  await third;
  abort.abort(new Error("changed its mind"));
  await fourth;
  deepEqual(mailbox.drain(stopped), [3]);
  await fifth;
  await rejects(offer(6, abort.signal), /changed its mind/);
  deepEqual(accepted, [2, 3]);
});

test("mailbox: no more offers wait than their limit", async () => {
  const mailbox = new Mailbox<string, number>(1);
  mailbox.push(0);
  const waiting = Array.from({ length: OFFERS_MAX }, (_, index) =>
    rejects(mailbox.offer(index, undefined), stopped),
  );
  await rejects(mailbox.offer(-1, undefined), { code: "BUSY", message: /1025 offers/ });
  mailbox.drain(stopped);
  await Promise.all(waiting);
});

test("watches: no more than their limit, each unit once, and none any more when cleared", () => {
  const told: string[] = [];
  const listeners = new Map<string, () => void>();
  const watchable = (path: string) => ({
    path,
    onStopped: (listener: () => void) => {
      listeners.set(path, listener);
      return () => void listeners.delete(path);
    },
  });
  const watches = new Watches(({ path }) => void told.push(path));
  const units = Array.from({ length: WATCHES_MAX }, (_, index) => watchable(`${index}`));
  for (const unit of [...units, ...units]) watches.add(unit);
  throws(() => watches.add(watchable("more")), { code: "CONFIG_OUT_OF_RANGE" });
  listeners.get("7")?.();
  deepEqual(told, ["7"]);
  watches.clear();
  equal(listeners.size, 0);
});

// A model of the whole: one list in the order in which things are to be taken.

type Step =
  | "push"
  | "displace"
  | "order"
  | "follow"
  | "take"
  | "stash"
  | "unstash"
  | "drain"
  | "offer";
type Kept = { readonly lane: "front" | "order" | "message" | "follow"; readonly value: Taken };

class ModelMailbox {
  readonly max: number;
  waiting: Kept[] = [];
  stashed: number[] = [];
  offers: number[] = [];

  constructor(max: number) {
    this.max = max;
  }

  count(lane: Kept["lane"]): number {
    return this.waiting.filter((kept) => kept.lane === lane).length;
  }

  isFull(): boolean {
    return this.count("message") === this.max;
  }

  take(): Taken | undefined {
    const index = Math.max(
      0,
      this.waiting.findIndex(({ lane }) => lane === "order"),
    );
    const [taken] = this.waiting.splice(index, 1);
    if (taken?.lane === "message") this.admit();
    return taken?.value;
  }

  admit(): void {
    while (this.offers.length > 0 && !this.isFull())
      this.waiting.push({ lane: "message", value: this.offers.shift() ?? 0 });
  }

  displace(value: number): Taken | undefined {
    const index = this.waiting.findIndex(({ lane }) => lane === "message");
    const [displaced] = this.waiting.splice(index, 1);
    this.waiting.push({ lane: "message", value });
    return displaced?.value;
  }

  unstash(): void {
    this.waiting.unshift(...this.stashed.map((value) => ({ lane: "front" as const, value })));
    this.stashed = [];
  }

  drain(): readonly Taken[] {
    this.unstash();
    const messages = this.waiting.filter(({ value }) => typeof value === "number");
    this.waiting = [];
    this.offers = [];
    return messages.map(({ value }) => value);
  }
}

/** One step of each kind, on the mailbox and on its model. */
const STEPS: Readonly<
  Record<Step, (mailbox: Mailbox<string, number>, model: ModelMailbox, id: number) => void>
> = {
  push: (mailbox, model, id) => {
    const isFull = model.isFull();
    if (!isFull) model.waiting.push({ lane: "message", value: id });
    equal(mailbox.push(id), !isFull);
  },
  displace: (mailbox, model, id) => {
    if (model.isFull()) equal(mailbox.displace(id), model.displace(id));
  },
  offer: (mailbox, model, id) => {
    if (!model.isFull()) return;
    mailbox.offer(id, undefined).catch(() => undefined);
    model.offers.push(id);
  },
  order: (mailbox, model, id) => {
    if (model.count("order") < SYSTEM_LANE_MAX)
      model.waiting.push({ lane: "order", value: `order ${id}` });
    mailbox.order(`order ${id}`);
  },
  follow: (mailbox, model, id) => {
    model.waiting.push({ lane: "follow", value: `follow ${id}` });
    mailbox.follow(`follow ${id}`);
  },
  take: (mailbox, model) => equal(take(mailbox), model.take()),
  stash: (mailbox, model) => {
    if (mailbox.isStashFull) return;
    const taken = take(mailbox);
    equal(taken, model.take());
    if (typeof taken !== "number") return;
    mailbox.stash(taken);
    model.stashed.push(taken);
  },
  unstash: (mailbox, model) => {
    mailbox.unstash();
    model.unstash();
  },
  drain: (mailbox, model) => deepEqual(mailbox.drain(stopped), model.drain()),
};

test("mailbox: any steps leave it as a plain list would be, within its limits", () => {
  const step = fc.constantFrom<Step>(
    ...(["push", "push", "push", "displace", "order", "follow", "take", "take"] as const),
    ...(["stash", "stash", "unstash", "offer", "drain"] as const),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 80 }), (max, steps) => {
      const mailbox = new Mailbox<string, number>(max);
      const model = new ModelMailbox(max);
      for (const [id, each] of steps.entries()) {
        STEPS[each](mailbox, model, id);
        equal(mailbox.isEmpty, model.waiting.length === 0);
      }
      const left: Taken[] = [];
      for (let next = model.take(); next !== undefined; next = model.take()) left.push(next);
      deepEqual(takeAll(mailbox), left);
    }),
    manyRuns,
  );
});
