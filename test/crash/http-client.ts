/**
 * An HTTP client: one POST after the other over a connection that is kept, each with new ids; 200 acknowledges
 * all records of the request.
 */
import { Agent, request } from "node:http";
import { pause } from "../support/deadline.ts";
import type { ClientOptions } from "./tcp-client.ts";

const requestRecordsMax = 40;
const fillerMax = 200;
const retryAfterMsMax = 2_000;

interface Answer {
  readonly status: number;
  readonly retryAfterMs: number;
  readonly body: string;
}

/** Posts until the server is gone or `stop` aborts; never rejects. A request that got no answer leaves its ids undecided. */
export async function runHttpClient(options: ClientOptions): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (let number = 1; !options.stop.aborted; number += 1) {
      const { ids, body, type } = drawRequest(options, number);
      const answer = await post({ port: options.port, agent, body, type });
      if (answer === undefined) return;
      if (answer.status === 200) options.book.acknowledge(ids);
      else await refused(options, answer);
    }
  } finally {
    agent.destroy();
  }
}

/** Backpressure and a stopping server answer 503; anything else is not what this client provokes. */
async function refused({ book, name, stop }: ClientOptions, answer: Answer): Promise<void> {
  if (answer.status !== 503)
    book.problem(`${name}: status ${answer.status}: ${answer.body.slice(0, 200)}`);
  await pause(Math.min(answer.retryAfterMs, retryAfterMsMax), stop);
}

interface DrawnRequest {
  readonly ids: readonly string[];
  readonly body: string;
  readonly type: string;
}

/** One JSON value, an array of them, or lines. */
function drawRequest({ random, book, name }: ClientOptions, number: number): DrawnRequest {
  const shape = random.integer(0, 2);
  const count = shape === 0 ? 1 : random.integer(1, requestRecordsMax);
  const ids = Array.from({ length: count }, (_, index) => `${name}.${number}-${index}`);
  const records = ids.map((id) => book.write(id, random.integer(0, fillerMax)));
  if (shape === 0) return { ids, body: records.join(""), type: "application/json" };
  if (shape === 1) return { ids, body: `[${records.join(",")}]`, type: "application/json" };
  return { ids, body: `${records.join("\n")}\n`, type: "application/x-ndjson" };
}

interface Post {
  readonly port: number;
  readonly agent: Agent;
  readonly body: string;
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Resolves with the whole answer, or undefined when the connection broke before its end. */
export function post({
  port,
  agent,
  body,
  type,
  headers: more = {},
}: Post): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const byteCount = Buffer.byteLength(body);
    const headers = { "content-type": type, "content-length": byteCount, ...more };
    const outgoing = request({
      host: "127.0.0.1",
      port,
      path: "/records",
      method: "POST",
      agent,
      headers,
    });
    outgoing.once("error", () => resolve(undefined));
    outgoing.once("response", (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (part) => (text += String(part)));
      incoming.once("error", () => resolve(undefined));
      incoming.once("end", () => {
        const retryAfterMs = Number(incoming.headers["retry-after"] ?? 1) * 1000;
        resolve({ status: incoming.statusCode ?? 0, retryAfterMs, body: text });
      });
    });
    outgoing.end(body);
  });
}
