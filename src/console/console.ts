/**
 * The console: what a scraper, a load balancer and a person may ask over HTTP. It reads and changes nothing.
 */
import { timingSafeEqual } from "node:crypto";
import type { Health } from "../contract/status.ts";
import type { UnitDefinition } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import type { HttpLimits, HttpRequest, HttpResponse, HttpServers } from "../host/http.ts";
import type { Endpoint } from "../host/sockets.ts";

/** What the console listens on and what it shows. */
export interface ConsoleOptions {
  /** 0 .. 65535; 0 takes a free one. */
  readonly port: number;
  /** @defaultValue 127.0.0.1 */
  readonly host?: string;
  /** Asked for as `Authorization: Bearer TOKEN`, everywhere but at /livez. Needed when `host` is not loopback. */
  readonly token?: string;
  readonly http: HttpServers;
  /** Body of /metrics, in the Prometheus text format. */
  readonly metricsText: () => string | Promise<string>;
  readonly health: () => Health;
  /** Told where each incarnation listens. */
  readonly onListening?: (address: Endpoint) => void;
}

/** Nobody sends a body here, and few ask at once. */
const LIMITS: HttpLimits = {
  connectionsMax: 64,
  bodyBytesMax: 1_024,
  headerBytesMax: 16 * 1_024,
  requestTimeoutMs: 10_000,
  idleTimeoutMs: 30_000,
};

/** On every answer: nothing may be run, framed, guessed or kept. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

const TEXT = "text/plain; charset=utf-8";
const METRICS = "text/plain; version=0.0.4; charset=utf-8";
const JSON_TEXT = "application/json; charset=utf-8";

const INDEX = `holdfast

/metrics   Prometheus metrics
/livez     200 while the process answers
/readyz    200 when every unit does its work, else 503 with the reasons
`;

/**
 * The console as a unit.
 *
 * @throws CONFIG_CONFLICT when it would listen beyond loopback without a token
 */
export function consoleUnit(options: ConsoleOptions): UnitDefinition {
  const { port, host = "127.0.0.1", token, http } = options;
  if (token === undefined && !isLoopback(host)) {
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `console: host ${host} can be reached from other machines, and there is no token`,
      {
        fix: "host: 127.0.0.1, or set a token",
      },
    );
  }
  return {
    name: "console",
    async open(context) {
      const listener = await http.listen(
        { host, port, limits: LIMITS },
        (request) => answer(request, options),
        (cause) => context.fail(cause),
      );
      options.onListening?.(listener.address);
      return { close: (signal) => listener.close(signal) };
    },
  };
}

/** Names and addresses that other machines cannot reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

async function answer(request: HttpRequest, options: ConsoleOptions): Promise<HttpResponse> {
  if (request.method !== "GET" && request.method !== "HEAD")
    return respond(405, TEXT, "only GET and HEAD\n", { allow: "GET, HEAD" });
  if (request.path === "/livez") return respond(200, TEXT, "ok\n");
  if (!isAllowed(request, options.token))
    return respond(401, TEXT, "a token is needed\n", { "www-authenticate": "Bearer" });
  switch (request.path) {
    case "/":
      return respond(200, TEXT, INDEX);
    case "/metrics":
      return respond(200, METRICS, await options.metricsText());
    case "/readyz": {
      const health = options.health();
      return respond(
        health.kind === "ready" ? 200 : 503,
        JSON_TEXT,
        `${JSON.stringify(health, null, 2)}\n`,
      );
    }
    default:
      return respond(404, TEXT, `nothing here\n\n${INDEX}`);
  }
}

function respond(
  status: number,
  type: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return { status, headers: { ...HEADERS, ...headers, "content-type": type }, body };
}

/** Compares in a time that tells nothing about how much of the token was right. */
function isAllowed({ headers }: HttpRequest, token: string | undefined): boolean {
  if (token === undefined) return true;
  const given = Buffer.from(headers["authorization"] ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
