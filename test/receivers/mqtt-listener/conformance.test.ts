import { test } from "node:test";
import { mqttListener } from "../../../receivers/mqtt-listener/index.ts";
import { receiverConformance } from "../../../src/testing/index.ts";
import { MqttDevice } from "../../support/mqtt-device.ts";

for (const qos of [0, 1, 2] as const) {
  const conformance = receiverConformance({
    name: `mqtt-listener, QoS ${qos}`,
    create: (options) =>
      mqttListener("devices", {
        port: 0,
        anonymous: true,
        messageBytesMax: 2 ** 20,
        inflightMessagesMax: 1_000,
        ...options,
      }),
    async connect(address) {
      const device = new MqttDevice(address, qos);
      await device.reconnect();
      return device;
    },
    acknowledges: qos > 0,
    afterBreak: (["never", "again", "once"] as const)[qos],
    // QoS 0 is dropped under pressure; of the others aedes reads two chunks ahead, which is less than it takes.
    holdsBack: false,
  });
  for (const { title, run } of conformance) test(title, run);
}
