/**
 * The broker's reason codes as our errors: which pass, and which only a person can change.
 */
import { type Code, HoldfastError } from "../../src/errors.ts";

/** Longest text of a broker that is repeated. */
const REASON_CHARACTERS = 200;

interface Reason {
  readonly code: Code;
  readonly why: string;
  readonly fix?: string;
}

const CREDENTIALS =
  "username, password or the client certificate; what the broker allows this client";
const unauthorized = (why: string): Reason => ({
  code: "MQTT_UNAUTHORIZED",
  why,
  fix: CREDENTIALS,
});
const refused = (why: string, fix = ""): Reason => ({ code: "MQTT_REFUSED", why, fix });
const unavailable = (why: string): Reason => ({ code: "MQTT_UNAVAILABLE", why });

const VERSION_FIX = "protocolVersion: 4 for MQTT 3.1.1, 5 for MQTT 5";
const CLIENT_ID_FIX = "clientId: some brokers take 1 to 23 letters and digits";
const SERVER_FIX = "url: the server that the broker names";

/** Return codes of MQTT 3.1.1's CONNACK. */
const RETURN_CODES: ReadonlyMap<number, Reason> = new Map([
  [1, refused("it does not speak this version", VERSION_FIX)],
  [2, refused("it does not accept the client id", CLIENT_ID_FIX)],
  [3, unavailable("it is not available")],
  [4, unauthorized("bad username or password")],
  [5, unauthorized("not authorized")],
]);

/** Reason codes of MQTT 5 in CONNACK and DISCONNECT. */
const REASON_CODES: ReadonlyMap<number, Reason> = new Map([
  [0x00, unavailable("it said goodbye")],
  [0x84, refused("it does not speak this version", VERSION_FIX)],
  [0x85, refused("it does not accept the client id", CLIENT_ID_FIX)],
  [0x86, unauthorized("bad username or password")],
  [0x87, unauthorized("not authorized")],
  [0x88, unavailable("it is not available")],
  [0x89, unavailable("it is busy")],
  [0x8a, unauthorized("banned")],
  [0x8b, unavailable("it shuts down")],
  [0x8c, unauthorized("bad authentication method")],
  [0x8d, unavailable("it did not hear from us in time")],
  [
    0x8e,
    {
      code: "MQTT_SESSION_TAKEN",
      why: "another connection took the session over",
      fix: "give each gateway a clientId of its own",
    },
  ],
  [0x90, refused("it does not accept the topic of the will", "will.topic")],
  [0x93, { code: "MQTT_PROTOCOL_ERROR", why: "it says that it got too many messages at once" }],
  [0x95, refused("it says that a packet was too large")],
  [0x97, unavailable("a quota is exceeded")],
  [0x98, unavailable("an administrator ended the connection")],
  [0x99, refused("it does not accept the payload of the will", "will.payload")],
  [0x9a, refused("it keeps no retained messages", "will.retain: false")],
  [0x9b, refused("it does not offer the QoS of the will", "will.qos")],
  [0x9c, refused("it wants us to use another server", SERVER_FIX)],
  [0x9d, refused("it has moved", SERVER_FIX)],
  [0x9e, refused("it has no shared subscriptions", "topics without $share/")],
  [0x9f, unavailable("connections come too fast")],
  [0xa0, unavailable("the connection lasted as long as it may")],
  [0xa2, refused("it has no wildcard subscriptions", "topics without + and #")],
]);

/** What a broker may say beside a code. */
export interface BrokerText {
  readonly reasonString?: unknown;
  readonly serverReference?: unknown;
}

/** CONNACK with a code that is not 0. */
export function connectRefused(
  broker: string,
  {
    protocolVersion,
    reason,
    text,
  }: {
    readonly protocolVersion: 4 | 5;
    readonly reason: number;
    readonly text?: BrokerText | undefined;
  },
): HoldfastError {
  const reasons = protocolVersion === 5 ? REASON_CODES : RETURN_CODES;
  return errorOf(`${broker} refused the connection`, reason, { known: reasons.get(reason), text });
}

/** DISCONNECT by the broker, MQTT 5. */
export function disconnected(broker: string, reason: number, text?: BrokerText): HoldfastError {
  return errorOf(`${broker} ended the connection`, reason, {
    known: REASON_CODES.get(reason),
    text,
  });
}

function errorOf(
  what: string,
  reason: number,
  { known, text }: { readonly known: Reason | undefined; readonly text: BrokerText | undefined },
): HoldfastError {
  const { code, why, fix } = known ?? {
    ...unavailable("it gave no reason that is known"),
    fix: "",
  };
  const said = [text?.reasonString, text?.serverReference]
    .filter((each) => typeof each === "string")
    .map((each) => `, "${printable(each)}"`)
    .join("");
  return new HoldfastError(
    code,
    `${what}: ${why} (code ${reason}${said})`,
    fix === undefined ? {} : { fix },
  );
}

/** A broker's text is shown, not obeyed: no line breaks, no control characters. */
function printable(text: string): string {
  return text.slice(0, REASON_CHARACTERS).replaceAll(/[^\x20-\x7e\u00a0-\ud7ff]/g, "?");
}

/** SUBACK codes that pass: no free packet id, a quota, a fault of the broker's own. */
const PASSING_GRANTS: ReadonlySet<number> = new Set([0x83, 0x91, 0x97]);

/** What is wrong with the broker's answer to one filter; undefined when it grants what was asked for. */
export function subscriptionRefused(
  filter: string,
  qos: number,
  granted: unknown,
): HoldfastError | undefined {
  if (granted === qos) return undefined;
  const name = JSON.stringify(filter);
  if (typeof granted === "number" && PASSING_GRANTS.has(granted))
    return new HoldfastError(
      "MQTT_UNAVAILABLE",
      `the broker did not subscribe us to ${name} for now: code ${granted}`,
    );
  const isWeaker = typeof granted === "number" && granted < qos;
  return new HoldfastError(
    "MQTT_SUBSCRIPTION_REFUSED",
    isWeaker
      ? `the broker grants QoS ${granted} for ${name}, ${qos} is wanted`
      : `the broker refuses ${name}: code ${String(granted)}`,
    {
      fix: isWeaker
        ? `qos: ${granted}, or a broker that offers ${qos}`
        : "what the broker allows this client, and whether it offers this kind of filter",
    },
  );
}
