/**
 * What is subscribed to: checked filters, the difference to what the broker's session has, and its answers.
 */
import type { MqttClient, Packet } from "mqtt";
import { HoldfastError } from "../../src/errors.ts";
import { subscriptionRefused } from "./refusals.ts";

/** Delivery at most, at least, exactly once. */
export type Qos = 0 | 1 | 2;

const QOS_LEVELS = [0, 1, 2] as const;

/** A topic filter; without a QoS it has that of the receiver. */
export interface Subscription {
  readonly filter: string;
  readonly qos?: number;
}

/** Filters in one SUBSCRIBE: hosted brokers take no more than 8. */
const FILTERS_PER_PACKET = 8;
const FILTER_BYTES_MAX = 65_535;
/** MQTT 5: retained messages come only with a subscription that is new. */
const RETAINED_WHEN_NEW = 1;

/** @throws CONFIG_VALUE for what is no topic filter */
export function checkFilter(filter: string): void {
  const wrong = problemOf(filter);
  if (wrong === undefined) return;
  throw new HoldfastError("CONFIG_VALUE", `mqtt: topics: ${JSON.stringify(filter)} ${wrong}`, {
    fix: "levels are separated by /, + stands for one of them, # for all that follow and comes last",
  });
}

function problemOf(filter: string): string | undefined {
  const bytes = Buffer.byteLength(filter);
  if (bytes === 0 || bytes > FILTER_BYTES_MAX) return `has ${bytes} bytes, allowed are 1 to 65535`;
  if (filter.includes("\0")) return "has a NUL character";
  const levels = filter.split("/");
  if (levels[0] !== "$share") return problemOfLevels(levels);
  const [, group = "", ...own] = levels;
  if (group === "" || /[+#]/.test(group) || own.join("/") === "")
    return "lacks a group or a filter behind $share/";
  return problemOfLevels(own);
}

function problemOfLevels(levels: readonly string[]): string | undefined {
  const isWrong = levels.some(
    (level, index) =>
      (level.includes("+") && level !== "+") ||
      (level.includes("#") && (level !== "#" || index !== levels.length - 1)),
  );
  return isWrong
    ? "has a + or # that is not a level of its own, or a # that is not the last"
    : undefined;
}

/** Each filter with its QoS; of one that is there twice the last counts. */
export type Filters = ReadonlyMap<string, Qos>;

/** What the options ask for. */
export function wantedFilters(topics: readonly Subscription[], qos: number): Filters {
  return new Map(topics.map((topic) => [topic.filter, qosOf(topic.qos ?? qos)]));
}

/** Decode boundary: 0, 1 or 2, as the schema has checked. */
function qosOf(qos: number): Qos {
  return qos === 0 || qos === 1 ? qos : 2;
}

/**
 * Subscribes to every filter and waits for the answers.
 *
 * @throws MQTT_SUBSCRIPTION_REFUSED, MQTT_UNAVAILABLE
 */
export async function subscribe(client: MqttClient, filters: Filters): Promise<void> {
  for (const qos of QOS_LEVELS) {
    const all = [...filters].filter(([, each]) => each === qos).map(([filter]) => filter);
    for (let at = 0; at < all.length; at += FILTERS_PER_PACKET) {
      const some = all.slice(at, at + FILTERS_PER_PACKET);
      const granted = await granting(client, some, qos);
      some.forEach((filter, index) => {
        const refusal = subscriptionRefused(filter, qos, granted[index]);
        if (refusal !== undefined) throw refusal;
      });
    }
  }
}

/**
 * The broker's answer for each filter. Where the connection ends first the promise stays open: its end is told elsewhere.
 *
 * A list has one QoS. An object could have several, but its names have an order of their own, in which `5` comes before
 * `a/#`, and one of them, `resubscribe`, is an option of the library.
 */
function granting(client: MqttClient, filters: string[], qos: Qos): Promise<readonly unknown[]> {
  return new Promise((resolve) => {
    client.subscribe(filters, { qos, rh: RETAINED_WHEN_NEW }, (cause, _granted, packet) => {
      const answer = packet ?? (cause !== null && "packet" in cause ? cause.packet : undefined);
      if (isSuback(answer)) resolve(answer.granted);
    });
  });
}

function isSuback(packet: unknown): packet is Extract<Packet, { cmd: "suback" }> {
  return (
    typeof packet === "object" &&
    packet !== null &&
    "granted" in packet &&
    Array.isArray(packet.granted)
  );
}

/** Ends subscriptions that the session has and nobody wants any more. */
export async function unsubscribe(client: MqttClient, filters: readonly string[]): Promise<void> {
  for (let at = 0; at < filters.length; at += FILTERS_PER_PACKET) {
    const some = filters.slice(at, at + FILTERS_PER_PACKET);
    await new Promise<void>((resolve) => {
      client.unsubscribe(some, (cause) => {
        if (cause === undefined || cause === null) resolve();
      });
    });
  }
}
