import { test } from "node:test";
import { tcp } from "../../../receivers/tcp/index.ts";
import { receiverConformance, type ReceiverSubject } from "../../../src/testing/index.ts";
import { type DeviceMode, LineDevice } from "../../support/line-device.ts";

function subject(mode: DeviceMode): ReceiverSubject {
  const acknowledge = mode === "none" ? "none" : "count-line";
  return {
    name: `tcp, ${mode}`,
    create: (options) => tcp("meters", { port: 0, acknowledge, ...options }),
    connect: (address) => LineDevice.connect(address, mode),
    acknowledges: mode !== "none",
    afterBreak: mode === "none" ? "never" : mode === "session" ? "once" : "again",
  };
}

for (const mode of ["counts", "session", "none"] as const)
  for (const { title, run } of receiverConformance(subject(mode))) test(title, run);
