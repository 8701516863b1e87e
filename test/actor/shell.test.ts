import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { inlineShells } from "../../src/actor/inline-shell.ts";
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
