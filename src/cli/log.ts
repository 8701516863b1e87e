/**
 * `holdfast log`: what the log holds, whether it is whole, its records, and how to mend or shorten it.
 */
import { HoldfastError } from "../errors.ts";
import { realHost } from "../host/real-host.ts";
import { lockDirectory, openLedgerOf } from "../storage.ts";
import { suggestion } from "../config/suggest.ts";
import type { Call } from "./command.ts";
import { dataDirectory, requireDirectory } from "./config-file.ts";
import { exportLog } from "./log-export.ts";
import { inspect, verify } from "./log-inspect.ts";
import { repair } from "./log-repair.ts";
import { truncate } from "./log-truncate.ts";

/** One thing to do with the log. */
interface Tool {
  /** Options beside those that every tool has. */
  readonly options: readonly string[];
  run(call: Call, directory: string): Promise<number>;
}

const TOOLS: ReadonlyMap<string, Tool> = new Map<string, Tool>([
  ["inspect", { options: [], run: ({ terminal }, directory) => inspect(directory, terminal) }],
  ["verify", { options: [], run: ({ terminal }, directory) => verify(directory, terminal) }],
  ["export", { options: ["from", "to", "since", "until", "receiver"], run: exportLog }],
  ["truncate", { options: ["before", "force"], run: truncate }],
  ["repair", { options: [], run: repair }],
  ["adopt", { options: [], run: adopt }],
]);

export async function main(call: Call): Promise<number> {
  const [verb = ""] = call.positionals;
  const names = [...TOOLS.keys()];
  const tool = TOOLS.get(verb);
  if (tool === undefined)
    throw new HoldfastError(
      "USAGE",
      `holdfast log takes ${names.slice(0, -1).join(", ")} or ${names.at(-1)}, it got ${verb}`,
      { fix: suggestion(verb, names) },
    );
  checkOptions(call, verb, tool);
  const directory = await dataDirectory(call);
  await requireDirectory(realHost().files, directory);
  return await tool.run(call, directory);
}

/** An option of another tool is a mistake: ignored, it would promise what does not happen. @throws USAGE */
function checkOptions(call: Call, verb: string, { options }: Tool): void {
  const others = [...TOOLS.values()].flatMap((tool) => tool.options);
  const wrong = others.find((option) => call.has(option) && !options.includes(option));
  if (wrong === undefined) return;
  const owners = [...TOOLS].flatMap(([name, tool]) => (tool.options.includes(wrong) ? [name] : []));
  throw new HoldfastError(
    "USAGE",
    `holdfast log ${verb} takes no --${wrong}, that is an option of ${owners.join(" and ")}`,
    { fix: `holdfast log ${verb}` },
  );
}

/** Opening the ledger writes down where it is now: from then on that is where it belongs. */
async function adopt({ terminal }: Call, directory: string): Promise<number> {
  const host = realHost();
  const lock = await lockDirectory(host, directory);
  try {
    const ledger = await openLedgerOf(host, directory, true);
    await ledger.close();
  } finally {
    await lock.release();
  }
  terminal.print(`adopted ${directory}: make sure that no other copy of it is in use`);
  return 0;
}
