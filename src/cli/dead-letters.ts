/**
 * `holdfast dead-letters`: records that were set aside, with the reason.
 */
import { join } from "node:path";
import type { StoredLetter } from "../dead-letters.ts";
import { HoldfastError } from "../errors.ts";
import { realHost } from "../host/real-host.ts";
import { DEAD_LETTER_DIRECTORY } from "../storage.ts";
import { type Call, countOption } from "./command.ts";
import { dataDirectory, requireDirectory } from "./config-file.ts";
import { newestLetters } from "./letters-on-disk.ts";
import { showTable } from "./render.ts";

const LIMIT_DEFAULT = 20;
/** Longest message and body that are shown, in characters. */
const MESSAGE_CHARACTERS = 80;
const BODY_CHARACTERS = 60;

export async function main(call: Call): Promise<number> {
  const [verb, name] = call.positionals;
  if (verb !== "list")
    throw new HoldfastError("USAGE", `holdfast dead-letters takes list, it got ${verb}`, {
      fix: "holdfast dead-letters list",
    });
  const countMax = countOption(call, "limit", LIMIT_DEFAULT);
  const unit = name ?? call.text("pipeline");
  const directory = await dataDirectory(call);
  const { files } = realHost();
  await requireDirectory(files, directory);
  const letters = await newestLetters(files, join(directory, DEAD_LETTER_DIRECTORY), {
    unit,
    countMax,
  });
  if (letters.length === 0) {
    call.terminal.print(
      `no dead letters${unit === undefined ? "" : ` of ${unit}`} in ${directory}`,
    );
    return 0;
  }
  const rows = [["OFFSET", "UNIT", "STAGE", "CODE", "MESSAGE", "BODY"], ...letters.map(letterRow)];
  for (const line of showTable(rows)) call.terminal.print(line);
  return 0;
}

function letterRow({ offset, unit, stage, code, message, bytes }: StoredLetter): readonly string[] {
  const body = new TextDecoder().decode(bytes.subarray(0, BODY_CHARACTERS * 4));
  return [
    offset === undefined ? "-" : String(offset),
    unit,
    stage,
    code,
    excerpt(message, MESSAGE_CHARACTERS),
    excerpt(body, BODY_CHARACTERS),
  ];
}

/** One line that is safe on a terminal: what a device sent may hold anything. */
function excerpt(text: string, charactersMax: number): string {
  const shown = text.replace(
    /\p{C}/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return shown.length > charactersMax ? `${shown.slice(0, charactersMax)}...` : shown;
}
