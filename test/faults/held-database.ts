/**
 * The gateway's SQLite file in the hands of another process.
 */
import { fileURLToPath } from "node:url";
import { within } from "../support/deadline.ts";
import { RunningProgram } from "../support/running-program.ts";
import type { Place } from "./place.ts";

const deadlineMs = 30_000;
const holderPath = fileURLToPath(new URL("./lock-holder.js", import.meta.url));

/** Another process with an open transaction on the database; killing it frees the file. */
export async function holdDatabase({ databasePath, directory }: Place): Promise<RunningProgram> {
  const holder = new RunningProgram({ arguments: [holderPath, databasePath], directory });
  await within(deadlineMs, "lock", holder.line(/^locked$/));
  return holder;
}
