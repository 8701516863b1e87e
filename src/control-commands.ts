/**
 * What a running instance does when it is asked to over its control socket.
 */
import type { ControlCommand } from "./console/control.ts";
import { HoldfastError } from "./errors.ts";
import type { LiveStorage } from "./live-log.ts";
import { truncateLog, type TruncateRequest } from "./truncate.ts";
import { type UnitCommandParts, unitCommands } from "./unit-commands.ts";

/** What the commands work with. */
export interface CommandParts extends UnitCommandParts {
  readonly storage: LiveStorage;
}

/** Every command, by which a program asks for it. */
export function controlCommands(parts: CommandParts): readonly ControlCommand[] {
  const { storage, clock } = parts;
  return [
    ...unitCommands(parts),
    {
      name: "truncate",
      run: (given) => {
        const request = readTruncate(given);
        const { log, ledger } = storage;
        const { oldestOffset, durableEnd } = log.status();
        const parts = { log, ledger, oldestOffset, durableEnd, wallMs: clock.wallMs() };
        return truncateLog(parts, request);
      },
    },
  ];
}

function readTruncate(given: Readonly<Record<string, unknown>>): TruncateRequest {
  const { before, force = false, ...others } = given;
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw new HoldfastError("CONTROL_REQUEST", `truncate takes before and force, it got ${other}`);
  if (typeof before !== "number" || !Number.isSafeInteger(before) || before < 0)
    throw new HoldfastError(
      "CONTROL_REQUEST",
      `truncate: before is ${JSON.stringify(before)}, allowed are offsets from 0`,
    );
  if (typeof force !== "boolean")
    throw new HoldfastError(
      "CONTROL_REQUEST",
      `truncate: force is ${JSON.stringify(force)}, allowed are true and false`,
    );
  return { before, force };
}
