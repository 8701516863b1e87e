/**
 * `holdfast/receivers/mqtt-listener`: devices connect straight to us with MQTT 3.1.1; no broker to install.
 */
import { HoldfastError } from "../../src/errors.ts";
import { defineReceiver, type ReceiverFactory } from "../../src/define-receiver.ts";
import { accessOf, checkAccess, checkOrigins } from "../../src/access.ts";
import {
  type MqttListenerInput,
  type MqttListenerOptions,
  mqttListenerOptions,
} from "./options.ts";
import { passwordsOf } from "./passwords.ts";
import { MqttListener } from "./server.ts";
import { faultOfFilter } from "./topic-rules.ts";

export type {
  AccessRule,
  MqttListenerInput,
  MqttListenerOptions,
  WebSocketTransport,
} from "./options.ts";

/**
 * Listens for MQTT clients and stores each message that they publish; see {@link MqttListenerOptions}.
 *
 * A record's key is the topic, its value the payload, its headers are `client`, `user` where there is one, and
 * `retain: "true"` where the flag was set. PUBACK and PUBREC come after the fsync, in order of receipt. A message of QoS 2
 * is stored once, over restarts and crashes too, as long as its client keeps its session (no clean session); with a
 * clean session, once within the connection. A message of QoS 0 is stored when there is room, else counted as dropped.
 *
 * A message that may not be published, or is too long, ends its connection: MQTT 3.1.1 has no other way to say no.
 */
export const mqttListener: ReceiverFactory<MqttListenerInput> = defineReceiver({
  type: "mqtt-listener",
  redelivers: true,
  options: mqttListenerOptions,
  check: checkMqttListener,
  checkFiles: async (look) => {
    await accessOf(look);
    await passwordsOf(look);
  },
  async open(context) {
    const listener = new MqttListener(context);
    await listener.listen();
    return listener;
  },
});

function checkMqttListener(options: MqttListenerOptions): void {
  checkAccess("mqtt-listener", options);
  const { anonymous, passwordFile, certificateIsUser, tls, acl } = options;
  if (!anonymous && passwordFile === undefined && !certificateIsUser)
    throw new HoldfastError("CONFIG_CONFLICT", "mqtt-listener: nobody could connect", {
      fix: "passwordFile: FILE, or tls.clientCa with certificateIsUser: true, or anonymous: true",
    });
  if (certificateIsUser && tls?.clientCa === undefined)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      "mqtt-listener: certificateIsUser needs tls.clientCa",
      {
        fix: "tls.clientCa: FILE with the authorities of the clients' certificates",
      },
    );
  checkWebSocket(options);
  if (acl.every(({ publish }) => publish.length === 0))
    throw new HoldfastError("CONFIG_CONFLICT", "mqtt-listener: acl lets nobody publish", {
      fix: "acl: [{ publish: [devices/%u/#] }], or leave acl out: everybody publishes anywhere",
    });
  for (const filter of acl.flatMap(({ publish, subscribe }) => [...publish, ...subscribe])) {
    const fault = faultOfFilter(filter);
    if (fault !== undefined)
      throw new HoldfastError(
        "CONFIG_VALUE",
        `mqtt-listener: acl: ${JSON.stringify(filter)} is no topic filter: ${fault}`,
        { fix: "acl: [{ publish: [devices/%u/#] }]" },
      );
  }
}

function checkWebSocket({ port, websocket }: MqttListenerOptions): void {
  if (websocket === undefined) return;
  checkOrigins("mqtt-listener: websocket", websocket.origins);
  if (websocket.port === port && port !== 0)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `mqtt-listener: port and websocket.port are both ${port}`,
      { fix: `websocket.port: ${port + 1}, or another one` },
    );
}
