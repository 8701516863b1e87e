/**
 * One run of a gateway over a handful of records: start it, send some, look, stop it.
 */
import { equal } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { listening, processAndStop, startGateway } from "../crash/incarnation.ts";
import { within } from "../support/deadline.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { openSqlite } from "../support/sqlite-reader.ts";
import type { Place } from "./place.ts";

const deadlineMs = 30_000;

/** Runs the program while `work` does something with it, and kills it if it is still there then. */
export async function running(
  place: Place,
  work: (program: RunningProgram) => Promise<void>,
): Promise<void> {
  const program = startGateway(place);
  try {
    await listening(place, program);
    await work(program);
  } finally {
    await program.kill();
  }
}

/** One clean run: everything that is sent is acknowledged, processed and in finished parts afterwards. */
export async function runOnce(place: Place, ids: readonly string[]): Promise<void> {
  await running(place, async (program) => {
    await send(place, ids);
    await processAndStop(place, program);
  });
}

/** Sends a record for each id over one connection; all of them are acknowledged when this resolves. */
export async function send({ tcpPort }: Place, ids: readonly string[]): Promise<void> {
  const text = ids
    .map((id) => `${JSON.stringify({ id, device: "a", temperature: 20 })}\n`)
    .join("");
  const answer = new Promise<string>((resolve, reject) => {
    let heard = "";
    const socket = connect(tcpPort, "127.0.0.1", () => socket.end(text));
    socket.setEncoding("latin1").on("data", (chunk) => (heard += String(chunk)));
    socket.once("error", reject).once("close", () => resolve(heard));
  });
  equal((await within(deadlineMs, "counts", answer)).trim().split("\n").at(-1), String(ids.length));
}

/** Ids of the table's rows, in order. */
export async function tableIds({ databasePath }: Place): Promise<readonly string[]> {
  const database = await openSqlite(databasePath);
  try {
    const rows = database
      .prepare("SELECT CAST(body AS TEXT) AS body FROM readings ORDER BY rowid")
      .all();
    return rows.map(({ body }) => idOf(String(body)));
  } finally {
    database.close();
  }
}

/** Ids in each finished part, by its name. */
export async function partIds({
  partsDirectory,
}: Place): Promise<Readonly<Record<string, readonly string[]>>> {
  const parts: Record<string, readonly string[]> = {};
  for (const name of (await readdir(partsDirectory)).toSorted()) {
    if (name.startsWith(".")) continue;
    const lines = (await readFile(join(partsDirectory, name), "utf8")).trimEnd().split("\n");
    parts[name] = lines.map(idOf);
  }
  return parts;
}

/** What `/readyz` says. */
export interface Readiness {
  readonly status: number;
  readonly text: string;
}

export async function readiness({ consolePort }: Place): Promise<Readiness> {
  const answer = await fetch(`http://127.0.0.1:${consolePort}/readyz`, {
    signal: AbortSignal.timeout(deadlineMs),
  });
  return { status: answer.status, text: await answer.text() };
}

function idOf(line: string): string {
  const record: unknown = JSON.parse(line);
  if (typeof record === "object" && record !== null && "id" in record) return String(record.id);
  throw new Error(`no id: ${line}`);
}
