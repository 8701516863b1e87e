/**
 * Each receiver at full speed, into the durable log and nothing behind it: what it costs to take in a record.
 */
import type { GatewayPlace } from "../../test/support/gateway-example.ts";
import { tlsPath } from "../../test/support/tls-files.ts";
import { receiveOnly } from "../configurations.ts";
import { type Job, type Measurement, type RunContext, scaled, type Variant } from "../job.ts";
import { type ClientLoad, runClients, sendLoad, speed } from "../load.ts";
import { BenchSite, type Configuration } from "../program.ts";
import { brokerVariants } from "./receive-brokers.ts";

const bytesPerMib = 1024 * 1024;

interface Receiving {
  readonly count: number;
  readonly configuration: Configuration;
  /** Sends so many records and resolves with the seconds until all were acknowledged. */
  readonly load: (place: GatewayPlace, count: number) => Promise<number>;
}

/** CPU and memory are those of the receiving process alone, without its start. */
async function measure(
  context: RunContext,
  { configuration, count, load }: Receiving,
): Promise<readonly Measurement[]> {
  const sent = scaled(context, count);
  return await BenchSite.with(configuration, (site) =>
    site.run(async (program) => {
      const before = program.usage();
      const seconds = await load(program.place, sent);
      const after = program.usage();
      const stored = await program.storedRecords();
      if (stored !== sent) throw new Error(`${sent} records sent, ${stored} stored`);
      return [
        ...speed(sent, seconds, after.cpuSeconds - before.cpuSeconds),
        { metric: "peak RSS", value: after.peakBytes / bytesPerMib, unit: "MiB" },
      ];
    }),
  );
}

function variant(name: string, receiving: Receiving): Variant {
  return { name: `receive/${name}`, run: (context) => measure(context, receiving) };
}

function tcp(tls: boolean): Receiving {
  const connections = 2;
  const certificate = { cert: tlsPath("first", "cert"), key: tlsPath("first", "key") };
  return {
    count: tls ? 2_000_000 : 5_000_000,
    configuration: receiveOnly(({ tcpPort }) => ({
      type: "tcp",
      port: tcpPort,
      acknowledge: "count-line",
      ...(tls ? { tls: certificate } : {}),
    })),
    load: async ({ tcpPort }, count) =>
      (await sendLoad({ port: tcpPort, count, connections, tls })).seconds,
  };
}

function http(load: Pick<ClientLoad, "connections" | "batch" | "count">): Receiving {
  return {
    count: load.count,
    configuration: receiveOnly(({ httpPort }) => ({ type: "http", port: httpPort })),
    load: ({ httpPort }, count) => runClients({ ...load, protocol: "http", port: httpPort, count }),
  };
}

/** Counts as JSON, once per group commit. */
function websocket(): Receiving {
  return {
    count: 2_000_000,
    configuration: receiveOnly(({ httpPort }) => ({
      type: "websocket",
      port: httpPort,
      acknowledge: "count-json",
    })),
    load: ({ httpPort: port }, count) =>
      runClients({ protocol: "websocket", port, count, connections: 4, window: 5_000 }),
  };
}

/** QoS 1, so many messages of each of 100 clients under way. */
function mqtt(window: number): Receiving {
  return {
    count: 300_000,
    configuration: receiveOnly(({ tcpPort }) => ({
      type: "mqtt-listener",
      port: tcpPort,
      anonymous: true,
    })),
    load: ({ tcpPort: port }, count) =>
      runClients({ protocol: "mqtt", port, count, connections: 100, window }),
  };
}

/** Every receiver, acknowledged. */
export const receive: Job = {
  name: "receive",
  title: "Each receiver -> durable log, acknowledged",
  variants: [
    variant("tcp, 2 connections", tcp(false)),
    variant("tcp with TLS, 2 connections", tcp(true)),
    variant(
      "http, 1,000 records a request, 4 connections",
      http({ count: 2_000_000, connections: 4, batch: 1_000 }),
    ),
    variant("http, 1 record a request, 32 connections", http({ count: 60_000, connections: 32 })),
    variant("websocket, 4 connections", websocket()),
    variant("mqtt-listener, QoS 1, 100 clients, 1 under way", mqtt(1)),
    variant("mqtt-listener, QoS 1, 100 clients, 20 under way", mqtt(20)),
    ...brokerVariants,
  ],
};
