import { deepEqual, equal } from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { inDirectory } from "../cli/support.ts";
import { eventually } from "../support/deadline.ts";
import { HttpPeer } from "../support/http-peer.ts";
import { repositoryRoot } from "../support/repository.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";

const CONFIGURATION = join(repositoryRoot(), "examples", "forward", "holdfast.yaml");
const LIMIT_MS = 60_000;
const WAIT = { everyMs: 10, deadlineMs: LIMIT_MS };

function start(directory: string, peer: HttpPeer): RunningProgram {
  return new RunningProgram({
    arguments: [programPath, "run", CONFIGURATION],
    directory,
    environment: {
      TCP_PORT: "0",
      CONSOLE_PORT: "0",
      INGEST_URL: `http://127.0.0.1:${peer.port}/rows`,
    },
  });
}

async function send(running: RunningProgram, text: string): Promise<string> {
  const line = await running.line(/^meters tcp 127\.0\.0\.1:\d+/);
  const socket = connect(Number(/:(\d+)/.exec(line)?.[1]), "127.0.0.1");
  const counts: string[] = [];
  socket.setEncoding("utf8").on("data", (count: string) => counts.push(count));
  socket.end(text);
  await once(socket, "close");
  return counts.join("").trimEnd().split("\n").at(-1) ?? "";
}

test("forward example: a server that fails at first gets each row once, over a kill -9", () =>
  inDirectory(async (directory) => {
    await using peer = await HttpPeer.start();
    const rows = new Map<string, string>();
    peer.reply = () => ({ status: 503 });
    const first = start(directory, peer);
    equal(await send(first, '{"n":1}\n{"n":2}\n'), "2");
    await eventually("a first try", () => peer.asked.length > 0, WAIT);
    await first.kill();
    // It remembers keys, and loses its first answer.
    peer.reply = ({ headers, body }) => {
      const key = String(headers["idempotency-key"]);
      const isKnown = rows.has(key);
      rows.set(key, body);
      return isKnown ? { status: 200 } : "drop";
    };
    const second = start(directory, peer);
    equal(await send(second, '{"n":3}\n'), "1");
    const all = (): readonly string[] =>
      [...rows.values()].flatMap((body) => body.trim().split("\n"));
    await eventually("all rows", () => all().length === 3, WAIT);
    deepEqual(await second.stop(LIMIT_MS), { code: 0, signal: null });
    deepEqual(all(), ['{"n":1}', '{"n":2}', '{"n":3}']);
  }));
