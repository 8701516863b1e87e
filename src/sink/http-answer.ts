/**
 * What an answer of an HTTP server means for the rows that were sent; pure.
 */
import { type Code, HoldfastError } from "../errors.ts";
import type { HttpAnswer } from "../host/http-client.ts";

/**
 * What becomes of a request. `written`: the server has the rows. `refused`: it has none of them and wants no repetition,
 * so at least one row is to blame. `back-off`: try again later. `failed`: trying again cannot help.
 */
export type Verdict =
  | { readonly kind: "written" }
  | { readonly kind: "refused"; readonly cause: HoldfastError }
  /** `delayMs` is the server's wish. */
  | {
      readonly kind: "back-off";
      readonly delayMs: number | undefined;
      readonly cause: HoldfastError;
    }
  | { readonly kind: "failed"; readonly cause: HoldfastError };

/** What is known beside the answer. */
export interface Asking {
  /** Name of the sink and what was asked, for messages: `store: POST http://store.example/rows`. */
  readonly title: string;
  readonly wallMs: number;
  /** Texts that no message may show, should the server repeat them. */
  readonly secrets: readonly string[];
}

/** The rows are to blame: 400 Bad Request, 413 Content Too Large, 422 Unprocessable Content. */
const REFUSED: ReadonlySet<number> = new Set([400, 413, 422]);
/** May pass: 408 Request Timeout, 409 Conflict (this key is being handled just now), 425 Too Early, 429 Too Many Requests. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425, 429]);
const UNAUTHORIZED: ReadonlySet<number> = new Set([401, 403, 407]);

/** Longest wait that a server can ask for; then it is asked again. */
export const RETRY_AFTER_MS_MAX = 60_000;
/** Longest part of an answer that a message quotes, in characters. */
const EXCERPT_CHARACTERS = 200;

const FIXES: ReadonlyMap<number, string> = new Map([
  [401, "give the sink a token that the server accepts"],
  [403, "let the server allow this sink to write, or give it another token"],
  [404, "correct the path of the url"],
  [405, "method: PUT, or POST"],
  [415, "another format, another content-type in headers, or gzip: false"],
]);

/** Judges an answer. */
export function judgeAnswer(answer: HttpAnswer, asking: Asking): Verdict {
  const { status, headers } = answer;
  if (status >= 200 && status < 300) return { kind: "written" };
  const error = (code: Code): HoldfastError =>
    new HoldfastError(code, messageOf(answer, asking), { fix: fixOf(answer) });
  if (REFUSED.has(status)) return { kind: "refused", cause: error("ROW_REFUSED") };
  if (PASSING.has(status) || status >= 500) {
    const delayMs = retryAfterMs(headers["retry-after"], asking.wallMs);
    return { kind: "back-off", delayMs, cause: error("SINK_FAILED") };
  }
  const code = UNAUTHORIZED.has(status) ? "SINK_UNAUTHORIZED" : "SINK_REFUSED";
  return { kind: "failed", cause: error(code) };
}

/**
 * Retry-After (RFC 9110, 10.2.3), seconds or a date, as milliseconds: 0 .. {@link RETRY_AFTER_MS_MAX}; undefined when
 * there is none that can be read.
 */
export function retryAfterMs(value: string | undefined, wallMs: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - wallMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX);
}

function messageOf({ status, headers, body }: HttpAnswer, { title, secrets }: Asking): string {
  const { location } = headers;
  const target = location === undefined ? "" : `, see ${withoutQuery(location)}`;
  const text = secrets.reduce(
    (shown, secret) => (secret === "" ? shown : shown.replaceAll(secret, "***")),
    Buffer.from(body).toString(),
  );
  const excerpt =
    text.length > EXCERPT_CHARACTERS ? `${text.slice(0, EXCERPT_CHARACTERS)}...` : text;
  return `${title} was answered ${status}${target}${excerpt === "" ? "" : `: ${JSON.stringify(excerpt)}`}`;
}

function fixOf({ status, headers }: HttpAnswer): string {
  const { location } = headers;
  if (status >= 300 && status < 400 && location !== undefined)
    return `url: ${withoutQuery(location)}, if that server is to be trusted: redirects are not followed`;
  return FIXES.get(status) ?? "";
}

/** A query may hold a key. */
function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, "");
}
