/**
 * A program that a test kills: an ingest with a kafka receiver, which prints how many records are on disk. With SIGTERM it
 * stops, and ends when nothing is left to do.
 *
 *     node member.js DIRECTORY OPTIONS-AS-JSON
 */
import { kafka } from "../../../receivers/kafka/index.ts";
import { createIngest } from "../../../src/index.ts";
import { silentLogger } from "../../support/logger.ts";
import { pause } from "../../support/deadline.ts";

const [directory = "", text = "{}"] = process.argv.slice(2);
const ingest = createIngest({
  directory,
  // The test writes them; the receiver checks them.
  receivers: [kafka("orders", JSON.parse(text))],
  pipelines: [],
  logger: silentLogger,
});
await ingest.start();
const stopped = new AbortController();
process.once("SIGTERM", () => stopped.abort());
for (let told = -1; !stopped.signal.aborted; await pause(5, stopped.signal)) {
  const { durableEnd } = ingest.snapshot().log;
  if (durableEnd !== told) process.stdout.write(`stored ${durableEnd}\n`);
  told = durableEnd;
}
await ingest.stop();
// And nothing else: what is left open keeps the process from ending.
process.stdout.write("stopped\n");
