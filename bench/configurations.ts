/**
 * What the program is told in each job.
 */
import { join } from "node:path";
import {
  databasePathOf,
  gatewayDocument,
  partsDirectoryOf,
  type GatewayPlace,
} from "../test/support/gateway-example.ts";
import { type Configuration, stepOf } from "./program.ts";

const connectionsMax = 1_000;
const logBytesMax = "8GiB";

interface Flow {
  readonly sinks: (place: GatewayPlace) => Readonly<Record<string, object>>;
  readonly pipelines: (place: GatewayPlace) => Readonly<Record<string, object>>;
  readonly logBytesMax?: string;
  readonly log?: object;
}

function configuration(flow: Flow): Configuration {
  return (place) =>
    JSON.stringify({
      version: 1,
      data: join(place.directory, "data"),
      log: { bytesMax: flow.logBytesMax ?? logBytesMax, ...flow.log },
      receivers: {
        meters: { type: "tcp", port: place.tcpPort, acknowledge: "count-line", connectionsMax },
      },
      sinks: flow.sinks(place),
      pipelines: flow.pipelines(place),
      console: { port: place.consolePort },
    });
}

const files = (type: "raw-lines" | "json-lines") => (place: GatewayPlace) => ({
  files: { type, directory: partsDirectoryOf(place) },
});
const from = ["meters"];

/** Receiver and log alone: a ring, so that segments are recycled as they are with a pipeline. */
export const logOnly: Configuration = configuration({
  sinks: () => ({}),
  pipelines: () => ({}),
  log: { keep: { bytes: "64MiB" } },
});

/** One receiver of any type and the log alone, as a ring. */
export function receiveOnly(receiver: (place: GatewayPlace) => object): Configuration {
  return (place) =>
    JSON.stringify({
      version: 1,
      data: join(place.directory, "data"),
      log: { bytesMax: logBytesMax, keep: { bytes: "64MiB" } },
      receivers: { devices: receiver(place) },
      console: { port: place.consolePort },
    });
}

/** The bytes as they came, into files. */
export const rawLines: Configuration = configuration({
  sinks: files("raw-lines"),
  pipelines: () => ({ raw: { from, decode: "raw", sinks: ["files"] } }),
});

/** Parse, keep the hot ones, JSON lines. */
export const jsonFilter: Configuration = configuration({
  sinks: files("json-lines"),
  pipelines: (place) => ({
    hot: { from, decode: "json", steps: [{ filter: stepOf(place, "isHot") }], sinks: ["files"] },
  }),
});

const table = (place: GatewayPlace): Readonly<Record<string, object>> => ({
  store: {
    type: "sqlite",
    file: databasePathOf(place),
    table: "readings",
    columns: ["dev", "temp"],
    originColumns: ["log_offset", "received_at", "receiver", "body"],
  },
});
const intoTable = () => ({ readings: { from, decode: "json", sinks: ["store"] } });

/** Parse, two fields and the four columns that tell the origin: as many columns as the gateway's table has. */
export const sqliteTable: Configuration = configuration({ sinks: table, pipelines: intoTable });

/** The same behind a log that is soon full, so that a stalled sink leads to backpressure within seconds. */
export const sqliteSmallLog: Configuration = configuration({
  sinks: table,
  pipelines: intoTable,
  logBytesMax: "1GiB",
});

/** The same with the least intervals of the gateway example. */
export const sqlitePaced: Configuration = async (place) => {
  const example = await gatewayDocument(place);
  const document: unknown = JSON.parse(await sqliteTable(place));
  if (typeof document !== "object" || document === null)
    throw new Error("a configuration is a mapping");
  return JSON.stringify({
    ...document,
    log: { bytesMax: logBytesMax, minCommitInterval: example.getIn(["log", "minCommitInterval"]) },
    pipelines: {
      readings: {
        ...intoTable().readings,
        trigger: example.getIn(["pipelines", "readings", "trigger"]),
      },
    },
  });
};

/** The gateway example without its demo receiver. */
export const gateway: Configuration = async (place) => String(await gatewayDocument(place));
