import { deepEqual, equal, ok } from "node:assert/strict";
import { isAbsolute } from "node:path";
import { test } from "node:test";
import type { Child } from "../../src/host/children.ts";
import { ownProgram } from "../../src/host/own-program.ts";
import { realChildren } from "../../src/host/real-children.ts";
import { LIFELINE_VARIABLE, takeLifeline } from "../../src/host/real-lifeline.ts";

const LIMIT = { timeout: 60_000 };

/** A child of this Node that runs a script; `args` come behind it. */
function start(script: string, ...args: readonly string[]): Child {
  const program = { command: process.execPath, arguments: ["--eval", script] };
  return realChildren(program).startSelf(args);
}

test(
  "children: the arguments follow the program's own, and the code comes back",
  LIMIT,
  async () => {
    const child = start(
      "process.exit(process.argv.slice(1).join() === 'a,--b' ? 7 : 1)",
      "a",
      "--b",
    );
    deepEqual(await child.ended, { kind: "exited", code: 7 });
  },
);

test("children: an end by a signal has its name and number", LIMIT, async () => {
  const child = start("setInterval(() => undefined, 1000)");
  child.signal("SIGKILL");
  deepEqual(await child.ended, { kind: "killed", signal: "SIGKILL", number: 9 });
  child.signal("SIGTERM");
});

test(
  "children: what cannot be started is an end, not a failure of this process",
  LIMIT,
  async () => {
    const children = realChildren({ command: "/nowhere/node", arguments: [] });
    const end = await children.startSelf([]).ended;
    equal(end.kind === "not-started" && "code" in end.cause && end.cause.code, "ENOENT");
  },
);

test("children: the lifeline is whole while this process lives", LIMIT, async () => {
  // Ends with 0 when the line has not ended by the time the child has asked twice for a turn.
  const child = start(`
    const { Socket } = require("node:net");
    const line = new Socket({ fd: Number(process.env.${LIFELINE_VARIABLE}), readable: true });
    line.resume().once("close", () => process.exit(9));
    setImmediate(() => setImmediate(() => process.exit(0)));
  `);
  deepEqual(await child.ended, { kind: "exited", code: 0 });
});

test("own program: Node and the file that runs, both absolute", () => {
  const { command, arguments: given } = ownProgram();
  ok(isAbsolute(command) && isAbsolute(given.at(-1) ?? ""));
});

for (const text of [undefined, "", "0", "no number", "-1", "99999"]) {
  test(`lifeline: ${JSON.stringify(text)} in the environment is no line, and is taken out`, () => {
    const environment = { [LIFELINE_VARIABLE]: text, OTHER: "stays" };
    const undo = takeLifeline(environment).onCut(() => {
      throw new Error("nobody holds it");
    });
    undo();
    deepEqual(environment, { OTHER: "stays" });
  });
}
