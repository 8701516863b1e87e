/**
 * Who may open a websocket: path, origin, token, subprotocol. Pure.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { HoldfastError } from "../../src/errors.ts";
import type { HttpUpgrade } from "../../src/host/http.ts";
import type { WebSocketOptions } from "./options.ts";

/** Begins the subprotocol that carries a token, for browsers: they cannot set headers. Behind it: base64url. */
const TOKEN_PROTOCOL = "bearer.";

/** Why a client is not let in: an HTTP status, and what the log and the client are told. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 503;
  readonly cause: HoldfastError;
}

type Rules = Pick<WebSocketOptions, "path" | "origins" | "token" | "tokenInQuery" | "subprotocols">;
type Handshake = Pick<HttpUpgrade, "path" | "query"> & {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
};

/** Undefined for a client that may come in. */
export function refusalOf(rules: Rules, handshake: Handshake): Refusal | undefined {
  const { path, origins, subprotocols } = rules;
  if (handshake.path !== path) return refusal(404, `it asked for another path than ${path}`);
  const origin = textOf(handshake.headers["origin"]);
  if (origin !== "" && !origins.includes("*") && !origins.includes(origin))
    return refusal(
      403,
      `its page is of origin ${JSON.stringify(origin.slice(0, 200))}, not in \`origins\``,
    );
  const offered = offeredOf(handshake);
  if (!hasToken(rules, handshake, offered)) return refusal(401, "its token is missing or wrong");
  if (subprotocols.length > 0 && chosenProtocol(rules, offered) === undefined)
    return refusal(400, `it offers none of the subprotocols ${subprotocols.join(", ")}`);
  return undefined;
}

/** The subprotocol to speak: ours that comes first, or the client's where we have none; never one that carries a token. */
export function chosenProtocol(
  { subprotocols }: Pick<Rules, "subprotocols">,
  offered: Iterable<string>,
): string | undefined {
  const names = [...offered].filter((name) => !name.startsWith(TOKEN_PROTOCOL));
  return subprotocols.length === 0 ? names[0] : subprotocols.find((name) => names.includes(name));
}

function refusal(status: Refusal["status"], why: string): Refusal {
  return { status, cause: new HoldfastError("CONNECTION_REFUSED", why) };
}

function hasToken(
  { token, tokenInQuery }: Rules,
  { headers, query }: Handshake,
  offered: readonly string[],
): boolean {
  if (token === undefined) return true;
  const shown = [
    /^Bearer +(.+)$/i.exec(textOf(headers["authorization"]))?.[1],
    ...offered
      .filter((name) => name.startsWith(TOKEN_PROTOCOL))
      .map((name) => Buffer.from(name.slice(TOKEN_PROTOCOL.length), "base64url").toString()),
    tokenInQuery ? (query.get("token") ?? undefined) : undefined,
  ];
  return shown.some((each) => each !== undefined && isSame(each, token));
}

/** Takes the same time whatever the two are: what is compared are their hashes. */
function isSame(shown: string, token: string): boolean {
  const [a, b] = [shown, token].map((text) => createHash("sha256").update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}

function offeredOf({ headers }: Handshake): readonly string[] {
  return textOf(headers["sec-websocket-protocol"])
    .split(",")
    .map((name) => name.trim());
}

function textOf(header: string | readonly string[] | undefined): string {
  return typeof header === "object" ? header.join(",") : (header ?? "");
}
