/**
 * Our options as the client library takes them.
 */
import type { IClientOptions } from "mqtt";
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { type Cancel, type Clock, TIMER_MS_MAX } from "../../src/host/clock.ts";
import type { MqttOptions } from "./options.ts";

/** One life of one client: it connects once, and whatever ends it is the supervisor's business. */
export function clientOptions(
  { options, clock }: Pick<ReceiverContext<MqttOptions>, "options" | "clock">,
  clientId: string,
): IClientOptions {
  const { protocolVersion, username, password, keepAliveMs, cleanSession, will } = options;
  return {
    protocolVersion,
    clientId,
    clean: cleanSession,
    keepalive: Math.ceil(keepAliveMs / 1000),
    reconnectPeriod: 0,
    resubscribe: false,
    // The deadline for opening is the supervisor's.
    connectTimeout: TIMER_MS_MAX,
    timerVariant: timersOf(clock),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(will === undefined ? {} : { will: willOf(will) }),
    ...(protocolVersion === 5 ? { properties: propertiesOf(options) } : {}),
  };
}

function willOf({
  topic,
  payload,
  qos,
  retain,
}: NonNullable<MqttOptions["will"]>): IClientOptions["will"] {
  return { topic, payload: Buffer.from(payload), qos: qos === 0 || qos === 1 ? qos : 2, retain };
}

function propertiesOf({
  sessionExpiryMs,
  receiveMaximum,
}: MqttOptions): IClientOptions["properties"] {
  return { sessionExpiryInterval: Math.ceil(sessionExpiryMs / 1000), receiveMaximum };
}

/** The library's pings on our clock. */
function timersOf(clock: Clock): Exclude<IClientOptions["timerVariant"], string | undefined> {
  const timers = new Map<number, Cancel>();
  let next = 1;
  return {
    set(callback, delayMs = 0) {
      const id = next++;
      const again = (): void => {
        timers.set(
          id,
          clock.after(delayMs, () => {
            again();
            callback();
          }),
        );
      };
      again();
      return id;
    },
    clear(id) {
      timers.get(id)?.();
      timers.delete(id);
    },
  };
}
