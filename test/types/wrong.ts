/**
 * Each wrong pipeline here is a compile error; the build of the tests fails when one is not. Nothing runs.
 */
import {
  createIngest,
  defineReceiver,
  from,
  json,
  oneForOne,
  pipeline,
  schema,
  when,
} from "holdfast";
import { tcp } from "holdfast/receivers/tcp";
import { jsonLines, rawLines } from "holdfast/sinks/file";
import { sqlite } from "holdfast/sinks/sqlite";

const Reading = schema.object({
  device: schema.string(),
  temperature: schema.number(),
  note: schema.optional(schema.string()),
});
const meters = tcp("meters", { port: 9000 });
const gates = tcp("gates", { port: 1 });
const rows = from(meters).decode(json(Reading));
const both = from(meters, gates).decode(json(Reading));
const store = sqlite("store", { file: "f", table: "t", columns: ["device", "humidity"] });
const thermometer = defineReceiver({
  type: "thermometer",
  redelivers: true,
  options: schema.object({
    url: schema.string(),
    intervalMs: schema.durationMs({ default: 1_000, min: 100 }),
  }),
  open: () => Promise.resolve({ close: () => undefined }),
});

/** Never called: only its types count. */
export function wrong(): void {
  // @ts-expect-error a column that the row lacks
  rows.writeTo(store);
  // @ts-expect-error a misspelt field
  rows.filter((row) => row.temprature > 3);
  // @ts-expect-error raw bytes after map
  rows.map((row) => row.device).writeTo(rawLines("r", { directory: "f" }));
  // @ts-expect-error update mode into a file
  rows.writeTo(jsonLines("s", { directory: "f" }), { mode: "update" });
  const gated = pipeline("p", { outputs: [both.writeTo(jsonLines("j", { directory: "d" }))] });
  // @ts-expect-error a pipeline that reads a receiver that is not listed
  createIngest({ directory: "d", receivers: [meters], pipelines: [gated] });
  // @ts-expect-error a decider without otherwise
  oneForOne({ maxRestarts: 3, withinMs: 1, decide: when(Error, "restart") });
  // @ts-expect-error an unknown directive
  oneForOne({ maxRestarts: 3, withinMs: 1, decide: when(Error, "retry").otherwise("stop") });
  // @ts-expect-error an option of a wrong name
  thermometer("t", { url: "u", interval: 3 });
  // @ts-expect-error a pipeline without an output
  pipeline("p", { outputs: [] });
  const deep = rows.map(({ note }) => ({ note: { deep: note } }));
  const noted = sqlite("s", { file: "f", table: "t", columns: ["note"] });
  // @ts-expect-error a column whose value is none that SQLite stores
  deep.writeTo(noted);
}

/** What is right compiles. */
export function right(): void {
  const one = pipeline("p", { outputs: [rows.writeTo(jsonLines("j", { directory: "d" }))] });
  createIngest({
    directory: "d",
    receivers: [meters, gates, thermometer("t", { url: "u" })],
    pipelines: [one],
  });
  const two = pipeline("p", { outputs: [both.writeTo(rawLines("j", { directory: "d" }))] });
  createIngest({ directory: "d", receivers: [meters, gates], pipelines: [two] });
  rows
    .filter((row, origin) => row.temperature > 3 && origin.receiver === "meters")
    .writeTo(rawLines("r", { directory: "f" }));
  rows.writeTo(sqlite("s", { file: "f", table: "t", columns: ["device", "temperature"] }));
}
