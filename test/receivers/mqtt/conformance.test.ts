import { test } from "node:test";
import { mqtt } from "../../../receivers/mqtt/index.ts";
import { receiverConformance, type ReceiverSubject } from "../../../src/testing/index.ts";
import { SessionBroker, type SessionBrokerOptions } from "../../support/session-broker.ts";

function subject(options: SessionBrokerOptions): ReceiverSubject {
  const { protocolVersion, qos } = options;
  let broker: SessionBroker | undefined;
  return {
    name: `mqtt ${protocolVersion}, QoS ${qos}`,
    create: (common) =>
      mqtt("field", {
        url: `mqtt://127.0.0.1:${broker?.port ?? 1}`,
        topics: ["a/#"],
        qos,
        protocolVersion,
        ...common,
      }),
    async prepare() {
      broker = await SessionBroker.start(options);
      return async () => broker?.close();
    },
    async connect() {
      if (broker === undefined) throw new Error("the broker was not started");
      return broker;
    },
    acknowledges: true,
    afterBreak: qos === 2 ? "once" : "again",
    // One block is on its way at a time: the log is never given more than it may take, so nothing raises the pressure.
    holdsBack: false,
  };
}

for (const protocolVersion of [4, 5] as const)
  for (const qos of [1, 2] as const)
    for (const { title, run } of receiverConformance(subject({ protocolVersion, qos })))
      test(title, run);
