import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { Mailbox, SYSTEM_LANE_MAX } from "../../src/actor/mailbox.ts";
import { nactShells } from "../../src/actor/nact-shell.ts";
import { realClock } from "../../src/host/clock.ts";

const TURNS = 10;
async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await realClock.yield();
}

for (const [name, shells] of Object.entries({ nact: nactShells, inline: inlineShells })) {
  test(`${name} shell: a ring leads to a drain, in a turn of its own`, async () => {
    const root = shells("test");
    let drains = 0;
    const shell = root.group("units").spawn("meters.1", () => drains++);
    shell.ring();
    equal(drains, 0);
    await settle();
    equal(drains, 1);
    shell.ring();
    await settle();
    equal(drains, 2);
    shell.stop();
    root.stop();
  });

  test(`${name} shell: no drain begins after a stop, and a stop may be called twice`, async () => {
    const root = shells("test");
    let drains = 0;
    const shell = root.spawn("meters.1", () => drains++);
    shell.ring();
    shell.stop();
    shell.stop();
    shell.ring();
    await settle();
    equal(drains, 0);
    root.stop();
  });

  test(`${name} shell: incarnations of one name live beside each other, roots of one name too`, async () => {
    const roots = [shells("test"), shells("test")] as const;
    const drained: string[] = [];
    const all = roots.flatMap((root, index) =>
      ["meters.1", "meters.2"].map((each) =>
        root.spawn(each, () => drained.push(`${index} ${each}`)),
      ),
    );
    for (const shell of all) shell.ring();
    await settle();
    deepEqual(drained.toSorted(), ["0 meters.1", "0 meters.2", "1 meters.1", "1 meters.2"]);
    for (const shell of all) shell.stop();
    for (const root of roots) root.stop();
  });
}

test("mailbox: the system lane goes first, each lane has its own limit and its order", () => {
  const mailbox = new Mailbox<string, number>(3);
  deepEqual(
    [1, 2, 3, 4].map((message) => mailbox.offer(message)),
    ["ok", "ok", "ok", "full"],
  );
  for (let count = 0; count < SYSTEM_LANE_MAX; count++) equal(mailbox.order(`${count}`), true);
  equal(mailbox.order("one too many"), false);
  for (let count = 0; count < SYSTEM_LANE_MAX; count++)
    deepEqual(mailbox.take(), { lane: "system", message: `${count}` });
  deepEqual(mailbox.take(), { lane: "user", message: 1 });
  equal(mailbox.offer(5), "ok");
  deepEqual(
    [mailbox.take(), mailbox.take(), mailbox.take(), mailbox.take()].map((mail) => mail?.message),
    [2, 3, 5, undefined],
  );
});

test("mailbox: grows over its first slots without losing the order", () => {
  const mailbox = new Mailbox<never, number>(1_000);
  for (let count = 0; count < 10; count++) mailbox.offer(count);
  for (let count = 0; count < 5; count++) mailbox.take();
  for (let count = 10; count < 500; count++) mailbox.offer(count);
  for (let expected = 5; expected < 500; expected++) equal(mailbox.take()?.message, expected);
  ok(mailbox.offer(1) === "ok" && mailbox.drop() === 1 && mailbox.length === 0);
});
