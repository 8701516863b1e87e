/**
 * `holdfast/receivers/http`: records by POST, answered 200 when they are on disk.
 */
import type { ReceiverContext, StoreAt } from "../../src/contract/receiver.ts";
import type { Stored } from "../../src/contract/record.ts";
import { defineReceiver, type ReceiverFactory } from "../../src/define-receiver.ts";
import { type Code, HoldfastError } from "../../src/errors.ts";
import type { HttpRequest, HttpResponse } from "../../src/host/http.ts";
import { type ObjectSchema, schema } from "../../src/schema.ts";
import {
  type Access,
  accessFields,
  accessOf,
  type AccessOptions,
  checkAccess,
  listenHost,
  refusalOfNames,
} from "../../src/access.ts";
import { splitBody } from "./body.ts";
import { Inflater } from "./inflate.ts";

const MIB = 1024 * 1024;
/** Seconds that a refused client is told to wait: the time in which a busy log usually catches up. */
const RETRY_AFTER_SECONDS = "1";
const HEADER_BYTES_MAX = 16 * 1024;

/** Options with their defaults. */
export interface HttpOptions extends AccessOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** @defaultValue 127.0.0.1 */
  readonly host: string;
  /** Where records are posted to. @defaultValue /records */
  readonly path: string;
  /** Longest body, packed and unpacked, 1 .. 4 MiB: a request is one block. @defaultValue 1 MiB */
  readonly bodyBytesMax: number;
  /** @defaultValue 1,000 */
  readonly connectionsMax: number;
  /** For a whole request to arrive. @defaultValue 30,000 */
  readonly requestTimeoutMs: number;
  /** Between two requests of a connection. @defaultValue 60,000 */
  readonly idleTimeoutMs: number;
}
/** What one writes: the port, and what differs from its default. */
export type HttpInput = Pick<HttpOptions, "port"> & Partial<HttpOptions>;

const options: ObjectSchema<HttpInput, HttpOptions> = schema.object({
  port: schema.port(),
  host: listenHost,
  path: schema.withDefault(
    schema.string({ pattern: /^\/[^?#\s]*$/, wanted: "a path such as /records" }),
    "/records",
  ),
  bodyBytesMax: schema.sizeBytes({ default: MIB, min: 1, max: 4 * MIB }),
  connectionsMax: schema.withDefault(schema.integer({ min: 1, max: 65_536 }), 1_000),
  requestTimeoutMs: schema.durationMs({ default: 30_000, min: 100, max: 3_600_000 }),
  idleTimeoutMs: schema.durationMs({ default: 60_000, min: 100, max: 3_600_000 }),
  ...accessFields,
});

/**
 * Records by `POST /records`: one JSON value, a JSON array of them (each element is a record, stored as its own
 * bytes), or lines (`application/x-ndjson`, `text/plain`). The answer 200 `{ "stored": n, "firstOffset": o }` comes
 * after the fsync; all records of a request are stored, or none. 400, 403, 404, 405, 413, 415 and 422 say why as
 * `{ "code", "message" }`; 503 with Retry-After says that the log is full or busy: nothing was stored, send it again.
 *
 * With `Idempotency-Key` (1 .. 255 characters) a request that is sent again is stored once, also over crashes: it is
 * answered as the first one, with `"repeated": true`; the same key with another body is 422. The newest 4,096 keys of
 * 24 hours are known. Bodies may be packed with gzip.
 */
export const http: ReceiverFactory<HttpInput> = defineReceiver({
  type: "http",
  redelivers: true,
  options,
  check: (checked) => checkAccess("http", checked),
  checkFiles: accessOf,
  async open(context) {
    const { host, port, bodyBytesMax, connectionsMax, requestTimeoutMs, idleTimeoutMs } =
      context.options;
    const limits = {
      connectionsMax,
      bodyBytesMax,
      headerBytesMax: HEADER_BYTES_MAX,
      requestTimeoutMs,
      idleTimeoutMs,
    };
    const access = await accessOf(context);
    const inflater = new Inflater(context.options);
    const listener = await context.http.listen(
      { host, port, limits, ...access, connections: context.connections },
      async (request) =>
        refusalOf(request, context, access) ?? (await answer(request, context, inflater)),
      context.fail,
    );
    return { address: listener.address, close: (signal) => listener.close(signal) };
  },
});

function refusalOf(
  { peer, peerNames }: HttpRequest,
  { options: { tls } }: ReceiverContext<HttpOptions>,
  { refused }: Access,
): HttpResponse | undefined {
  const cause = refusalOfNames(tls === undefined ? {} : { tls }, peerNames);
  if (cause === undefined) return undefined;
  refused(peer, cause);
  return refusal(403, cause.code, cause.message);
}

async function answer(
  request: HttpRequest,
  context: ReceiverContext<HttpOptions>,
  inflater: Inflater,
): Promise<HttpResponse> {
  const { path } = context.options;
  const { method, headers, body } = request;
  if (request.path === "/" && method === "GET") return usage(path);
  if (request.path !== path) {
    return refusal(
      404,
      "HTTP_BAD_REQUEST",
      `no ${request.path} here, records are posted to ${path}`,
    );
  }
  if (method !== "POST") {
    const refused = refusal(405, "HTTP_BAD_REQUEST", `method is ${method}, allowed is POST`);
    return withHeader(refused, "allow", "POST");
  }
  if (context.pressure === "full") return busy("BUSY", "the log is full or busy");
  try {
    const inflated = await inflater.inflate(headers["content-encoding"], body);
    const records = splitBody(headers["content-type"] ?? "", inflated);
    const stored = await context.store(
      records.map((value) => ({ value })),
      keyOf(headers),
    );
    return { status: 200, headers: JSON_HEADERS, body: `${JSON.stringify(answerOf(stored))}\n` };
  } catch (cause) {
    if (cause instanceof HoldfastError) return answerTo(cause);
    // What is not ours is a bug: the unit fails, and should it go on the body is set aside.
    context.fail(cause, body);
    return refusal(500, "INTERNAL", "the server failed; nothing is known of the request");
  }
}

const JSON_HEADERS = { "content-type": "application/json" };

function usage(path: string): HttpResponse {
  const body = [
    `POST ${path} stores records; the answer 200 means that they are on disk.`,
    "  content-type: application/json       one JSON value, or an array of them",
    "  content-type: application/x-ndjson   a record per line; text/plain is the same",
    "  content-encoding: gzip               the body is packed",
    "  idempotency-key: KEY                 sent again under the same key it is stored once",
    `  curl -H 'content-type: application/json' -d '{"device":"a","temperature":21.5}' http://HOST:PORT${path}`,
    "",
  ];
  return { status: 200, headers: { "content-type": "text/plain" }, body: body.join("\n") };
}

function keyOf({ "idempotency-key": idempotencyKey }: HttpRequest["headers"]): StoreAt {
  return idempotencyKey === undefined ? {} : { idempotencyKey };
}

function answerOf({ recordCount, firstOffset, isRepeat }: Stored): object {
  return { stored: recordCount, firstOffset, ...(isRepeat === true ? { repeated: true } : {}) };
}

function answerTo({ code, message }: HoldfastError): HttpResponse {
  if (code === "HTTP_BAD_REQUEST" || code === "BLOCK_INVALID") return refusal(400, code, message);
  if (code === "HTTP_UNSUPPORTED_MEDIA_TYPE") return refusal(415, code, message);
  if (code === "BLOCK_TOO_LARGE" || code === "MESSAGE_TOO_LONG") return refusal(413, code, message);
  if (code === "IDEMPOTENCY_MISMATCH") return refusal(422, code, message);
  // Everything else is about us and passes: another incarnation, room in the log. Nothing is in the log, or the
  // client cannot know that it is: it sends the request again.
  return busy(code, message);
}

function busy(code: Code, message: string): HttpResponse {
  return withHeader(refusal(503, code, message), "retry-after", RETRY_AFTER_SECONDS);
}

function withHeader(response: HttpResponse, name: string, value: string): HttpResponse {
  return { ...response, headers: { ...response.headers, [name]: value } };
}

function refusal(status: number, code: Code, message: string): HttpResponse {
  return { status, headers: JSON_HEADERS, body: `${JSON.stringify({ code, message })}\n` };
}
