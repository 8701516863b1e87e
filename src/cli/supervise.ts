/**
 * `holdfast supervise`: runs `holdfast run` as a child process under a restart window.
 */
import { equalJitter } from "../../supervisors/backoff.ts";
import { showDuration } from "../config/quantities.ts";
import { HoldfastError } from "../errors.ts";
import { realChildren } from "../host/real-children.ts";
import { realHost } from "../host/real-host.ts";
import { type Call, durationOption } from "./command.ts";
import { ProgramSupervisor } from "./program-supervisor.ts";
import { RESTART_DEFAULTS, type RestartPolicy, shortestUseUpMs } from "./restart-policy.ts";

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;

/** What can be supervised. */
const PROGRAM = "run";
const UNLIMITED = "unlimited";
/** Each is remembered while it is inside the window. */
const ATTEMPTS_MAX = 1_000;

export async function main(call: Call): Promise<number> {
  requireRun(call.positionals);
  const policy = readPolicy(call);
  const { clock, random, process } = realHost();
  const supervisor = new ProgramSupervisor({
    children: realChildren(),
    clock,
    random,
    process,
    terminal: call.terminal,
    policy,
    arguments: call.positionals,
  });
  return supervisor.run();
}

function requireRun([command]: readonly string[]): void {
  if (command === PROGRAM) return;
  const got = command === undefined ? "nothing" : JSON.stringify(command);
  throw new HoldfastError("USAGE", `holdfast supervise runs \`${PROGRAM}\`, it got ${got}`, {
    fix: `holdfast supervise -- ${PROGRAM}`,
  });
}

/** @throws USAGE */
function readPolicy(call: Call): RestartPolicy {
  const { withinMs, backoffMinMs, backoffMaxMs } = RESTART_DEFAULTS;
  const maxRestarts = readAttempts(call);
  const window = durationOption(call, "within", {
    fallbackMs: withinMs,
    minMs: SECOND_MS,
    maxMs: 365 * DAY_MS,
  });
  const range = { minMs: 0, maxMs: DAY_MS };
  const maxMs = durationOption(call, "backoff-max", { fallbackMs: backoffMaxMs, ...range });
  const minMs = durationOption(call, "backoff-min", {
    fallbackMs: Math.min(backoffMinMs, maxMs),
    ...range,
  });
  if (minMs > maxMs)
    throw new HoldfastError(
      "USAGE",
      `--backoff-min is ${showDuration(minMs)}, --backoff-max is ${showDuration(maxMs)}: the first may not exceed the second`,
      { fix: `--backoff-max ${showDuration(minMs)}` },
    );
  const policy: RestartPolicy = {
    limit: { maxRestarts, withinMs: window },
    backoff: equalJitter({ minMs, maxMs, resetAfterMs: 0 }),
  };
  requireLimit(policy);
  return policy;
}

function readAttempts(call: Call): number {
  const text = call.text("attempts");
  if (text === undefined) return RESTART_DEFAULTS.attempts;
  if (text === UNLIMITED) return Infinity;
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1 && count <= ATTEMPTS_MAX) return count;
  throw new HoldfastError(
    "USAGE",
    `--attempts is ${JSON.stringify(text)}, allowed are 1 to ${ATTEMPTS_MAX}, and ${UNLIMITED}`,
    { fix: `--attempts ${RESTART_DEFAULTS.attempts}` },
  );
}

/** A limit that is never reached is a slip: whoever wants none says so. */
function requireLimit(policy: RestartPolicy): void {
  const { maxRestarts, withinMs } = policy.limit;
  const shortestMs = shortestUseUpMs(policy);
  if (shortestMs < withinMs) return;
  throw new HoldfastError(
    "USAGE",
    `--attempts ${maxRestarts} are never used up in --within ${showDuration(withinMs)}: their backoff takes ${showDuration(Math.ceil(shortestMs / SECOND_MS) * SECOND_MS)} at least`,
    { fix: `--attempts ${UNLIMITED}, or a longer --within` },
  );
}
