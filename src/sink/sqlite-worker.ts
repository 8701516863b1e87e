/**
 * The worker thread of a SQLite sink. SQLite's calls block, a locked file for seconds: here they hold up nobody.
 */
import { parentPort } from "node:worker_threads";
import { HoldfastError, toError } from "../errors.ts";
import { loadSqlite } from "./sqlite-driver.ts";
import type { Answers, Failure, Reply, Request } from "./sqlite-protocol.ts";
import { SqliteStore } from "./sqlite-store.ts";

type Answer = Answers[keyof Answers];

let opened: SqliteStore | undefined;
/** Requests are answered in order, also those that come while the driver is being loaded. */
let queue: Promise<void> = Promise.resolve();

parentPort?.on("message", (request: Request) => {
  queue = answer(request, queue);
});

async function answer(request: Request, before: Promise<void>): Promise<void> {
  await before;
  parentPort?.postMessage(await reply(request), []);
}

async function reply(request: Request): Promise<Reply> {
  try {
    if (request.kind === "open") return { answer: await open(request) };
    return { answer: carryOut(request, store()) };
  } catch (thrown) {
    return { failure: failureOf(thrown) };
  }
}

async function open({ options }: Extract<Request, { kind: "open" }>): Promise<Answer> {
  const result = SqliteStore.open(await loadSqlite(), options);
  opened = result.store;
  return result.opened;
}

function carryOut(request: Exclude<Request, { kind: "open" }>, to: SqliteStore): Answer {
  switch (request.kind) {
    case "begin":
      return to.begin(request.batch);
    case "rows":
      return to.rows(request.rows, request.create, request.isolate);
    case "commit":
      to.commit();
      return null;
    case "rollback":
      to.rollback();
      return null;
    case "close":
      to.close();
      opened = undefined;
      return null;
  }
}

function store(): SqliteStore {
  if (opened !== undefined) return opened;
  throw new HoldfastError("INTERNAL", "the store is not open");
}

function failureOf(thrown: unknown): Failure {
  if (thrown instanceof HoldfastError)
    return { code: thrown.code, message: thrown.message, fix: thrown.fix };
  return { code: "SINK_FAILED", message: toError(thrown).message, fix: "" };
}
