/**
 * `holdfast/receivers/mqtt`: messages from an MQTT broker, acknowledged when they are on disk.
 */
import { checkClientFiles } from "../../src/tls-options.ts";
import { defineReceiver, type ReceiverFactory } from "../../src/define-receiver.ts";
import { checkMqtt, keepsSession, type MqttInput, mqttOptions } from "./options.ts";
import { openSession } from "./session.ts";

export type { MqttInput, MqttOptions, TopicOption, WillOptions } from "./options.ts";
export type { Qos, Subscription } from "./subscriptions.ts";

/**
 * Subscribes at a broker and stores each message as a record: the topic is its key, the payload its value, user
 * properties are its headers; see {@link MqttInput} for the options.
 *
 * QoS 1 is acknowledged (PUBACK) when the record is on disk. QoS 2: PUBREC when the record and its packet id are, PUBCOMP
 * when the release of that id is; a message that comes again in between is not stored again. QoS 0 has no
 * acknowledgement: what comes while receivers are paused, and finds no room in memory, is dropped and counted.
 *
 * A lost broker is MQTT_UNAVAILABLE or a CONNECTION_ code, and tried again. Refused credentials (MQTT_UNAUTHORIZED), a
 * refused filter (MQTT_SUBSCRIPTION_REFUSED), a connection that the broker will not have (MQTT_REFUSED) and another client
 * of our name (MQTT_SESSION_TAKEN) park the receiver.
 */
export const mqtt: ReceiverFactory<MqttInput> = defineReceiver({
  type: "mqtt",
  redelivers: keepsSession,
  dials: true,
  // The client library finds a silent broker after 1.5 times the keep-alive; this is for when it does not.
  aliveWithinMs: ({ keepAliveMs }) => 3 * keepAliveMs,
  options: mqttOptions,
  check: checkMqtt,
  checkFiles: checkClientFiles,
  open: openSession,
});
