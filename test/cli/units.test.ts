import { deepEqual, equal, match } from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { controlUnit } from "../../src/console/control.ts";
import { createIngest, type Ingest } from "../../src/index.ts";
import { realHost } from "../../src/host/real-host.ts";
import { oneForOne } from "../../supervisors/index.ts";
import { eventually } from "../support/deadline.ts";
import { deferred } from "../support/deferred.ts";
import { silentLogger } from "../support/logger.ts";
import { PushReceiver } from "../support/push-receiver.ts";
import { unitContext } from "../support/unit-context.ts";
import { LIMIT } from "./log-place.ts";
import { type Ended, holdfast, inDirectory } from "./support.ts";

const never = oneForOne({ maxRestarts: 0, withinMs: 60_000, onExhausted: "park" });

/** An instance with one receiver, which is parked when it fails. */
class Instance {
  readonly receiver = new PushReceiver("meters", { supervision: never });
  readonly parked = deferred<undefined>();
  readonly ingest: Ingest;

  constructor(directory: string) {
    this.ingest = createIngest({
      directory: join(directory, "data"),
      receivers: [this.receiver],
      pipelines: [],
      logger: silentLogger,
      listeners: [{ onUnitParked: () => this.parked.resolve(undefined) }],
    });
  }
}

async function withInstance(
  work: (instance: Instance, ask: (...args: readonly string[]) => Promise<Ended>) => Promise<void>,
): Promise<void> {
  await inDirectory(async (directory) => {
    const instance = new Instance(directory);
    await instance.ingest.start();
    try {
      await work(instance, (...args) => holdfast([...args, "-d", "data"], { directory }));
    } finally {
      await instance.ingest.stop();
    }
  });
}

/** What a program would read. */
async function rowOf(
  ask: (...args: readonly string[]) => Promise<Ended>,
  unit: string,
): Promise<Record<string, unknown>> {
  const { stdout } = await ask("units", "--json");
  const rows: readonly Record<string, unknown>[] = JSON.parse(stdout);
  return rows.find((row) => row["unit"] === unit) ?? {};
}

/** While the log is opened again it refuses; a receiver would be restarted by that and try on. */
async function storedWhenOpen(receiver: PushReceiver): Promise<void> {
  const store = (): Promise<boolean> =>
    receiver.context.store({ value: "after" }).then(
      () => true,
      () => false,
    );
  await eventually("stored", store, { everyMs: 10, deadlineMs: LIMIT.timeout });
}

test("units: a parked unit is shown, restarted by hand, and runs again", LIMIT, () =>
  withInstance(async ({ receiver, parked }, ask) => {
    const running = await ask("units");
    deepEqual([running.code, running.stderr], [0, ""]);
    match(running.stdout, /^UNIT +STATE +RESTARTS +SINCE +DETAIL\n/);
    match(running.stdout, /^log +running +0\/3 +\S+$/m);
    match(running.stdout, /^receivers\/meters +running +0\/0 +\S+$/m);
    receiver.context.fail(new Error("unplugged"));
    await parked.promise;
    match(
      (await ask("units", "list")).stdout,
      /^receivers\/meters +parked +0\/0 +\S+ +INTERNAL: unplugged$/m,
    );
    const { code, stdout, stderr } = await ask("units", "restart", "receivers/meters");
    deepEqual(
      [code, stdout, stderr],
      [0, "restarting receivers/meters, it was parked; how it goes: holdfast units\n", ""],
    );
    await receiver.opened(2);
    const { status, restarts, epoch } = await rowOf(ask, "receivers/meters");
    deepEqual({ status, restarts, epoch }, { status: "running", restarts: 0, epoch: 2 });
    await receiver.context.store({ value: "stored again" });
  }),
);

test("units: the log restarted by hand is the same log", LIMIT, () =>
  withInstance(async ({ receiver, ingest }, ask) => {
    await receiver.context.store({ value: "before" });
    match((await ask("units", "restart", "log", "--json")).stdout, /"status": "running"/);
    await storedWhenOpen(receiver);
    equal(ingest.snapshot().log.nextOffset, 2);
    equal((await rowOf(ask, "log"))["epoch"], 2);
  }),
);

test("units: a wrong name is answered with the known ones", LIMIT, () =>
  withInstance(async (_, ask) => {
    const { code, stdout, stderr } = await ask("units", "restart", "receivers/meter");
    deepEqual(
      [code, stdout, stderr],
      [
        1,
        "",
        'UNIT_UNKNOWN: there is no unit "receivers/meter", there are receivers/meters, log, control\n' +
          '    fix: did you mean "receivers/meters"?\n',
      ],
    );
  }),
);

test("status: units, log and pipelines in one table", LIMIT, () =>
  withInstance(async ({ receiver }, ask) => {
    await receiver.context.store({ value: "one" });
    const { code, stdout, stderr } = await ask("status");
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /^log +running +0\/3 +\S+ +\d+ MiB of \d+ MiB, offset 1$/m);
    const { units, log, pipelines } = JSON.parse((await ask("status", "--json")).stdout);
    deepEqual([units.length, log.nextOffset, pipelines], [3, 1, []]);
  }),
);

for (const args of [["units"], ["units", "restart", "log"], ["status"]]) {
  test(`${args.join(" ")}: without an instance it says so`, LIMIT, () =>
    inDirectory(async (directory) => {
      await mkdir(join(directory, "data"));
      const { code, stdout, stderr } = await holdfast([...args, "-d", "data"], { directory });
      deepEqual([code, stdout], [69, ""]);
      match(
        stderr,
        /^CONTROL_UNAVAILABLE: no instance runs on \/.*\/data, .*\n {4}fix: holdfast run\n$/,
      );
    }),
  );
}

test("units, status: an answer of another shape is not shown as if it were one", LIMIT, () =>
  inDirectory(async (directory) => {
    const { files, local, clock } = realHost();
    if (local === undefined) throw new Error("no local sockets");
    const data = join(directory, "data");
    await mkdir(data);
    const answers: Readonly<Record<string, unknown>> = {
      units: { units: [{ unit: "log" }] },
      "units-restart": { unit: "log" },
      status: { units: [] },
    };
    const commands = Object.entries(answers).map(([name, answer]) => ({
      name,
      run: () => Promise.resolve(answer),
    }));
    const session = await controlUnit({ directory: data, files, local, clock, commands }).open(
      unitContext(),
    );
    try {
      for (const args of [["units"], ["units", "restart", "log"], ["status"]]) {
        const { code, stderr } = await holdfast([...args, "-d", "data"], { directory });
        equal(code, 69, args.join(" "));
        match(stderr, /^CONTROL_UNAVAILABLE: the running instance answered something/);
      }
    } finally {
      await session.close(new AbortController().signal);
    }
  }),
);

for (const [args, said] of [
  [["units", "fly"], "holdfast units takes list, or restart and a name; it got fly"],
  [["units", "restart"], "holdfast units takes list, or restart and a name; it got restart"],
  [["units", "list", "log"], "holdfast units takes list, or restart and a name; it got list log"],
  [["status", "log"], "holdfast status takes 0 arguments, it got 1"],
] as const) {
  test(`${args.join(" ")}: wrong usage`, async () => {
    const { code, stdout, stderr } = await holdfast(args);
    deepEqual([code, stdout, stderr.split("\n")[0]], [64, "", `USAGE: ${said}`]);
  });
}

test("units: without a configuration it is what is in ./data, if that is there", () =>
  inDirectory(async (directory) => {
    match((await holdfast(["units"], { directory })).stderr, /^CONFIG_NOT_FOUND/);
    const instance = new Instance(directory);
    await instance.ingest.start();
    try {
      const { code, stdout } = await holdfast(["units"], { directory });
      equal(code, 0);
      match(stdout, /receivers\/meters +running/);
      const named = await holdfast(["units", "-c", "other.yaml"], { directory });
      match(named.stderr, /^CONFIG_NOT_FOUND: other.yaml/);
    } finally {
      await instance.ingest.stop();
    }
  }));
