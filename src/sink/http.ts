/**
 * The sink that sends rows to HTTP servers.
 */
import type { FileLook } from "../contract/file-look.ts";
import type { OriginalBytes, Sink, SinkContext } from "../contract/sink.ts";
import { type Code, HoldfastError } from "../errors.ts";
import { customField, type ObjectSchema, schema } from "../schema.ts";
import { checkTlsConnect, type TlsConnectOptions, tlsConnectOptions } from "../tls-options.ts";
import type { HttpFormat } from "./http-parts.ts";
import { HttpSession, type ResolvedHttpOptions } from "./http-session.ts";
import { type HttpTarget, parseTarget } from "./http-target.ts";
import { checkSinkOptions } from "./options.ts";

export type { HttpFormat } from "./http-parts.ts";
export type { TlsConnectOptions } from "../tls-options.ts";

/** Options of {@link http}. Durations are milliseconds, sizes are bytes. */
export interface HttpOptions {
  /**
   * Where rows go: http or https, with path and query, without user and password. Several are equal servers with
   * a common memory, at most 16, the preferred one first: another one is used when connections to it fail.
   */
  readonly url: string | readonly string[];
  /** @defaultValue POST */
  readonly method?: "POST" | "PUT";
  /**
   * `jsonl`: a JSON value per line, application/x-ndjson. `json`: an array, application/json. `raw`: the records as they
   * came, each with a newline, application/octet-stream. @defaultValue jsonl
   */
  readonly format?: HttpFormat;
  /** Sent with each request, shown nowhere; `content-type` replaces that of the format. @defaultValue none */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as `Authorization: Bearer`, shown nowhere. @defaultValue none */
  readonly token?: string;
  /** Whether each request has an `Idempotency-Key`. Without it the guarantee is at-least-once. @defaultValue true */
  readonly idempotencyKey?: boolean;
  /** Longest body, before it is packed; 1 KiB .. 64 MiB. A longer row is a dead letter. @defaultValue 1 MiB */
  readonly requestBytesMax?: number;
  /** Most rows of a request, 1 .. 100,000. @defaultValue 1,000 */
  readonly requestRecordsMax?: number;
  /** Requests of a batch at once, 1 .. 64; with more than 1 they may arrive in another order. @defaultValue 1 */
  readonly inFlightMax?: number;
  /** From the request's first byte to the answer's last, 100 ms .. 10 min; then the connection ends. @defaultValue 10,000 */
  readonly timeoutMs?: number;
  /** `inFlightMax` .. 1,000, at least 2 with several urls. @defaultValue `inFlightMax` + 1 */
  readonly connectionsMax?: number;
  /** Packs bodies. @defaultValue false */
  readonly gzip?: boolean;
  /** Shorter bodies are sent as they are, 0 .. 64 MiB. @defaultValue 1 KiB */
  readonly gzipBytesMin?: number;
  /** For https: files that are read at each connect. @defaultValue the authorities that Node brings */
  readonly tls?: TlsConnectOptions;
  readonly pool?: HttpPoolOptions;
  readonly breaker?: HttpBreakerOptions;
}

/** How the sink keeps its connections; see docs/pools.md. */
export interface HttpPoolOptions {
  /** Longest connect with its TLS handshake, 100 ms .. 1 min. @defaultValue 5,000 */
  readonly connectDeadlineMs?: number;
  /** Longest wait for a connection, 100 ms .. 10 min; then the batch is tried again. @defaultValue 30,000 */
  readonly acquireDeadlineMs?: number;
  /** Unused for this long a connection is closed: before the server does it; 100 ms .. 1 h. @defaultValue 4,000 */
  readonly idleTimeoutMs?: number;
  /** Age at which a connection is replaced, 1 s .. 1 d; names are resolved anew then. @defaultValue 1,800,000 */
  readonly lifetimeMs?: number;
}

/** When the sink stops asking for a while; see docs/pools.md. */
export interface HttpBreakerOptions {
  /** Only requests that ended this recently count, 1 s .. 1 h. @defaultValue 30,000 */
  readonly windowMs?: number;
  /** Fewer requests than this never open it, 1 .. 100. @defaultValue 10 */
  readonly callsMin?: number;
  /** Share of failed requests that opens it, 0.01 .. 1. @defaultValue 0.5 */
  readonly failureRatio?: number;
}

type Checked = Required<Omit<HttpOptions, "token" | "connectionsMax" | "pool" | "breaker">> & {
  readonly token?: string;
  readonly connectionsMax?: number;
  readonly pool: Required<HttpPoolOptions>;
  readonly breaker: Required<HttpBreakerOptions>;
};

const KIB = 1024;
const MIB: number = KIB * KIB;
const MINUTE_MS = 60_000;
const HOUR_MS: number = 60 * MINUTE_MS;
const URLS_MAX = 16;

const poolOptions = schema.object({
  connectDeadlineMs: schema.durationMs({ default: 5_000, min: 100, max: MINUTE_MS }),
  acquireDeadlineMs: schema.durationMs({ default: 30_000, min: 100, max: 10 * MINUTE_MS }),
  idleTimeoutMs: schema.durationMs({ default: 4_000, min: 100, max: HOUR_MS }),
  lifetimeMs: schema.durationMs({ default: 1_800_000, min: 1_000, max: 24 * HOUR_MS }),
});

const breakerOptions = schema.object({
  windowMs: schema.durationMs({ default: 30_000, min: 1_000, max: HOUR_MS }),
  callsMin: schema.withDefault(schema.integer({ min: 1, max: 100 }), 10),
  failureRatio: schema.withDefault(schema.number({ min: 0.01, max: 1 }), 0.5),
});

/** Options as the configuration reads them: `url` as text, or as a list. */
export const httpOptions: ObjectSchema<HttpOptions, Checked> = schema.object({
  url: customField<string | readonly string[]>("a url, or a list of urls", parseUrls),
  method: schema.withDefault(schema.oneOf("POST", "PUT"), "POST"),
  format: schema.withDefault(schema.oneOf("jsonl", "json", "raw"), "jsonl"),
  headers: schema.withDefault(schema.mapping(schema.secret()), {}),
  token: schema.optional(schema.secret()),
  idempotencyKey: schema.withDefault(schema.boolean(), true),
  requestBytesMax: schema.sizeBytes({ default: MIB, min: KIB, max: 64 * MIB }),
  requestRecordsMax: schema.withDefault(schema.integer({ min: 1, max: 100_000 }), 1_000),
  inFlightMax: schema.withDefault(schema.integer({ min: 1, max: 64 }), 1),
  timeoutMs: schema.durationMs({ default: 10_000, min: 100, max: 10 * MINUTE_MS }),
  connectionsMax: schema.optional(schema.integer({ min: 1, max: 1_000 })),
  gzip: schema.withDefault(schema.boolean(), false),
  gzipBytesMin: schema.sizeBytes({ default: KIB, min: 0, max: 64 * MIB }),
  tls: schema.withDefault(tlsConnectOptions, {}),
  pool: schema.withDefault(poolOptions, {
    connectDeadlineMs: 5_000,
    acquireDeadlineMs: 30_000,
    idleTimeoutMs: 4_000,
    lifetimeMs: 1_800_000,
  }),
  breaker: schema.withDefault(breakerOptions, {
    windowMs: 30_000,
    callsMin: 10,
    failureRatio: 0.5,
  }),
});

/**
 * Sends the rows of each batch in requests of limited size, the same ones when a batch is replayed.
 *
 * Each request has a key, `<writer>/<sink>/<batch>/<part>-<hash>`: a server that remembers keys takes every row once
 * ("idempotent"). Answers: 2xx, the rows are written; 400, 413, 422, rows are to blame: the request is sent again in
 * halves until those are found, which become dead letters (ROW_REFUSED); 408, 409, 425, 429, 5xx, and connections that
 * fail: the batch is tried again, after Retry-After if the server says so, at most 60 s; everything else, redirects
 * included, parks the pipeline (SINK_UNAUTHORIZED, SINK_REFUSED).
 *
 * @throws CONFIG_VALUE, CONFIG_KEY_MISSING, CONFIG_KEY_UNKNOWN, CONFIG_TYPE, CONFIG_OUT_OF_RANGE, CONFIG_CONFLICT
 */
export function http(
  name: string,
  options: HttpOptions & { readonly format: "raw" },
): Sink<OriginalBytes, "append">;
export function http(
  name: string,
  options: HttpOptions & { readonly format?: "jsonl" | "json" },
): Sink<unknown, "append">;
export function http(name: string, options: HttpOptions): Sink<never, "append"> {
  const checked = checkSinkOptions({ type: "http", name }, httpOptions, options);
  const resolved = resolveHttpOptions(name, checked);
  const { targets, headers, secrets: _, ...shown } = resolved;
  return Object.freeze({
    kind: "sink",
    name,
    type: "http",
    modes: ["append"] as const,
    input: resolved.format === "raw" ? "original-bytes" : "rows",
    settings: Object.freeze({
      ...shown,
      urls: targets.map((target) => target.shown),
      headers: Object.keys(headers),
    }),
    exclusive: "",
    checkFiles: ({ files }: FileLook) => HttpSession.checkFiles({ name, files }, resolved),
    open: (context: SinkContext) => HttpSession.open(context, resolved),
  });
}

function resolveHttpOptions(sink: string, checked: Checked): ResolvedHttpOptions {
  const { url, token, timeoutMs, gzip, gzipBytesMin, inFlightMax, ...same } = checked;
  const { connectionsMax = inFlightMax + 1, pool, headers: given, ...rest } = same;
  const urls = typeof url === "string" ? [url] : url;
  const headers = checkHeaders(sink, given, token);
  const resolved: ResolvedHttpOptions = {
    ...rest,
    inFlightMax,
    targets: urls.map((text) => parseTarget(sink, text)),
    headers,
    secrets: [...Object.values(headers), ...(token === undefined ? [] : [token])],
    gzipBytesMin: gzip ? gzipBytesMin : undefined,
    pool: { ...pool, connectionsMax, progressDeadlineMs: timeoutMs },
  };
  checkCombinations(sink, resolved);
  return Object.freeze(resolved);
}

/** What a program without types may pass is looked at later, by {@link parseTarget}. */
function parseUrls(value: unknown): string | readonly string[] | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const urls: unknown[] = value;
  return urls.every((url) => typeof url === "string") ? urls : undefined;
}

/** Headers that requests are made of. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "expect",
  "host",
  "idempotency-key",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** RFC 9110, 5.6.2: what a header may be called. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible characters, spaces and tabs inside. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers with lower-case names, the token's among them. No message shows a value. */
function checkHeaders(
  sink: string,
  given: Readonly<Record<string, string>>,
  token: string | undefined,
): Readonly<Record<string, string>> {
  const named = Object.entries(given).map(([name, value]) => [name.toLowerCase(), value] as const);
  if (token !== undefined) named.push(["authorization", `Bearer ${token}`]);
  for (const [index, [name, value]] of named.entries()) {
    if (!HEADER_NAME.test(name))
      throw refusal(sink, "CONFIG_VALUE", `${JSON.stringify(name)} is no name of a header`);
    if (OWN_HEADERS.has(name))
      throw refusal(sink, "CONFIG_VALUE", `the sink sets the header ${name} itself`);
    if (!HEADER_VALUE.test(value))
      throw refusal(
        sink,
        "CONFIG_VALUE",
        `the value of the header ${name} has a forbidden character`,
      );
    if (named.findIndex(([other]) => other === name) < index)
      throw refusal(sink, "CONFIG_CONFLICT", `2 values for the header ${name}, 1 is allowed`);
  }
  return Object.freeze(Object.fromEntries(named));
}

function checkCombinations(
  sink: string,
  { targets, inFlightMax, tls, pool: { connectionsMax } }: ResolvedHttpOptions,
): void {
  if (targets.length < 1 || targets.length > URLS_MAX)
    throw refusal(
      sink,
      "CONFIG_OUT_OF_RANGE",
      `${targets.length} urls, allowed are 1 to ${URLS_MAX}`,
    );
  const twice = targets.find(({ address }, index) => isBefore(targets, address, index));
  if (twice !== undefined)
    throw refusal(
      sink,
      "CONFIG_CONFLICT",
      `2 urls of ${twice.address}, 1 for each server is allowed`,
    );
  const connectionsMin = Math.max(inFlightMax, targets.length > 1 ? 2 : 1);
  if (connectionsMax < connectionsMin)
    throw refusal(
      sink,
      "CONFIG_CONFLICT",
      `connectionsMax is ${connectionsMax}, inFlightMax ${inFlightMax} and ${targets.length} urls need ${connectionsMin} or more`,
    );
  checkTlsConnect(`${sink}: http`, tls);
  if (Object.keys(tls).length > 0 && !targets.some(({ isSecure }) => isSecure))
    throw refusal(sink, "CONFIG_CONFLICT", "tls is there, and 0 of the urls begin with https");
}

function isBefore(targets: readonly HttpTarget[], address: string, index: number): boolean {
  return targets.findIndex((target) => target.address === address) < index;
}

function refusal(sink: string, code: Code, message: string): HoldfastError {
  return new HoldfastError(code, `${sink}: http: ${message}`);
}
