import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { DeadLetterStore } from "../../src/contract/dead-letters.ts";
import type { Log } from "../../src/contract/log.ts";
import { HoldfastError } from "../../src/errors.ts";
import { realHost } from "../../src/host/real-host.ts";
import type { Connection } from "../../src/host/sockets.ts";
import { Intake } from "../../src/intake.ts";
import { Dialer } from "../../src/pool/dialer.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { silentLogger } from "../support/logger.ts";
import { PushReceiver } from "../support/push-receiver.ts";
import { Unit } from "../support/unit.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { watch } from "../support/watched.ts";

/** What a receiver that only connects never comes to. */
const NOT_USED: unknown = {};
const NEVER: AbortSignal = new AbortController().signal;
const refuse = (): Promise<never> =>
  Promise.reject(new HoldfastError("CONNECTION_FAILED", "refused"));

function scene(): { readonly dialer: Dialer; readonly clock: VirtualClock } {
  const clock = new VirtualClock();
  return { clock, dialer: new Dialer({ clock, random: createSeededRandom(1) }) };
}

test("dialer: an endpoint that is up is connected to at once, one that is down at its next probe", async () => {
  const { dialer, clock } = scene();
  equal(await dialer.dial("a", NEVER, () => Promise.resolve(1)), 1);
  for (let attempt = 0; attempt < 2; attempt++)
    await rejects(dialer.dial("a", NEVER, refuse), { code: "CONNECTION_FAILED" });
  const waiting = [2, 3].map((value) =>
    watch(dialer.dial("a", NEVER, () => Promise.resolve(value))),
  );
  const other = watch(dialer.dial("b", NEVER, () => Promise.resolve(4)));
  await clock.advance(124);
  deepEqual(
    [...waiting, other].map(({ status }) => status),
    ["waiting", "waiting", "done"],
  );
  await clock.advance(126);
  deepEqual(
    waiting.map(({ value }) => value),
    [2, 3],
  );
  dialer.close();
  equal(clock.timerCount, 0);
});

test("dialer: without a turn within a minute it is CONNECTION_STALLED; a signal ends the wait", async () => {
  const { dialer, clock } = scene();
  const never = watch(dialer.dial("a", NEVER, () => new Promise(() => undefined)));
  const late = watch(dialer.dial("a", NEVER, () => Promise.resolve(1)));
  const abort = new AbortController();
  const stopped = watch(dialer.dial("a", abort.signal, () => Promise.resolve(2)));
  abort.abort(new Error("stopped"));
  await clock.advance(60_000);
  deepEqual([never.status, late.status, stopped.status], ["waiting", "failed", "failed"]);
  ok(late.error instanceof HoldfastError && late.error.code === "CONNECTION_STALLED");
  await rejects(dialer.dial("a", abort.signal, refuse), { message: "stopped" });
  dialer.close();
});

test("dialer: what an owner that was stopped cut off says nothing about the endpoint", async () => {
  const { dialer, clock } = scene();
  for (let life = 0; life < 5; life++) {
    const abort = new AbortController();
    const dialed = dialer.dial("a", abort.signal, async () => {
      abort.abort(new Error("stopped"));
      return await refuse();
    });
    await rejects(dialed);
  }
  equal(await dialer.dial("a", NEVER, () => Promise.resolve(1)), 1);
  dialer.close();
  equal(clock.timerCount, 0);
});

test("dialer: of many endpoints the oldest are forgotten", async () => {
  const { dialer, clock } = scene();
  for (let attempt = 0; attempt < 2; attempt++) await rejects(dialer.dial("a", NEVER, refuse));
  for (let index = 0; index < 64; index++)
    await dialer.dial(`b${index}`, NEVER, () => Promise.resolve());
  equal(clock.timerCount, 0);
  equal(await dialer.dial("a", NEVER, () => Promise.resolve(1)), 1);
});

test("dialer: a receiver that is restarted at once, for ever, does not storm its endpoint", async () => {
  const clock = new VirtualClock();
  let connects = 0;
  const host = {
    ...realHost(),
    clock,
    random: createSeededRandom(1),
    sockets: {
      ...realHost().sockets,
      connect: (): Promise<Connection> => {
        connects++;
        return refuse();
      },
    },
  };
  const receiver = new PushReceiver("meters");
  const intake = new Intake({
    receiver,
    log: NOT_USED as Log,
    deadLetters: NOT_USED as DeadLetterStore,
    host,
    logger: silentLogger,
    emit: () => undefined,
    appended: () => undefined,
  });
  let epoch = 0;
  const live = async (): Promise<void> => {
    while (clock.monotonicMs() < 60_000) {
      const unit = new Unit(++epoch);
      await intake.definition().open(unit);
      await receiver.context.connect({ host: "broker", port: 1 }).catch(() => undefined);
      unit.fail(new Error("restart"));
    }
  };
  const living = live();
  await clock.advance(70_000);
  await living;
  ok(connects > 10 && connects <= 27, `${connects} connects in a minute, ${epoch} incarnations`);
  intake.close();
  equal(clock.timerCount, 0);
});
