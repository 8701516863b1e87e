/**
 * A process that reads a topic directly into SQLite, and kills itself with SIGKILL when a sink has written batch `KILL_AT`:
 * after the store has it, before the checkpoint does.
 *
 *     node direct-child.js DIRECTORY BROKER TOPIC KILL_AT
 */
import { join } from "node:path";
import { kafkaDirect } from "../../../receivers/kafka/index.ts";
import { availableNow, createIngest, from, json, pipeline } from "../../../src/index.ts";
import { sqlite } from "../../../src/sink/sqlite.ts";
import { silentLogger } from "../../support/logger.ts";

const [directory = "", broker = "", topic = "", killAt = ""] = process.argv.slice(2);

const orders = kafkaDirect("orders", { brokers: [broker], topics: [topic] });
const store = sqlite("store", {
  file: join(directory, "rows.db"),
  table: "rows",
  columns: ["number"],
});
const ingest = createIngest({
  directory: join(directory, "data"),
  receivers: [],
  pipelines: [
    pipeline("rows", {
      outputs: [
        from(orders)
          .decode(json())
          .map((number) => ({ number: Number(number) }))
          .writeTo(store),
      ],
      trigger: availableNow(),
      batchRecordsMax: 100,
    }),
  ],
  logger: silentLogger,
  listeners: [
    {
      onEvent(event) {
        if (event.kind === "sink-written" && event.batchId === Number(killAt))
          process.kill(process.pid, "SIGKILL");
        if (event.kind === "sink-replayed") process.stdout.write(`replayed ${event.batchId}\n`);
      },
    },
  ],
});
await ingest.start();
await ingest.stopped;
process.stdout.write("done\n");
