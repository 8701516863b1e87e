/**
 * Load from the generator, and the control that takes it.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { within } from "../test/support/deadline.ts";
import type { Measurement } from "./job.ts";
import { removeTemporary, temporaryDirectory } from "./temporary.ts";
import { runToEnd, tools } from "./tools.ts";

/** Length of every record with its newline, and the share that the filter job keeps. */
export const recordBytes = 104;
export const hotShare = 0.8;

const controlReadyMs = 60_000;
const controlEndMs = 60_000;

/** What to send. */
export interface Load {
  readonly port: number;
  readonly count: number;
  readonly connections: number;
  readonly tls?: boolean;
  /** Records a second in all; full speed when left out. Paced records are written one by one. */
  readonly rate?: number;
  /** Seconds after which nothing more is sent, and seconds whose latencies are left out. */
  readonly secondsMax?: number;
  readonly warmupSeconds?: number;
}

/** What the generator saw. Latencies are of paced loads only. */
export interface LoadResult {
  readonly sent: number;
  readonly acknowledged: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly samples: number;
}

/** Sends and waits for every acknowledgement; rejects when one is missing. */
export async function sendLoad(load: Load): Promise<LoadResult> {
  const paced =
    load.rate === undefined ? [] : ["-rate", String(load.rate), "-block", "1", "-latency"];
  const words = [
    "-addr",
    `127.0.0.1:${load.port}`,
    "-count",
    String(load.count),
    "-conns",
    String(load.connections),
    ...paced,
  ];
  if (load.tls === true) words.push("-tls");
  if (load.secondsMax !== undefined) words.push("-max", `${load.secondsMax}s`);
  if (load.warmupSeconds !== undefined) words.push("-warmup", `${load.warmupSeconds}s`);
  const ended = await runToEnd(tools.generator, words);
  if (ended.kind === "not-found") throw new Error(`${tools.generator} is not there`);
  if (ended.code !== 0) throw new Error(`generator: ${ended.errors.trim()} ${ended.output.trim()}`);
  // Decode boundary: our own program's line.
  return JSON.parse(ended.output) as LoadResult;
}

/** What the clients of other protocols are told. */
export interface ClientLoad {
  readonly protocol: "http" | "websocket" | "mqtt";
  readonly port: number;
  readonly count: number;
  readonly connections: number;
  /** Records per request of http. */
  readonly batch?: number;
  /** Records of a connection that are on their way, of websocket and mqtt. */
  readonly window?: number;
}

/** Sends and waits for every acknowledgement; rejects when one is missing. Resolves with the seconds it took. */
export async function runClients(load: ClientLoad): Promise<number> {
  const { protocol, port, count, connections, batch = 1, window = 1_000 } = load;
  const numbers = { count, conns: connections, batch, window };
  const words = Object.entries(numbers).flatMap(([name, value]) => [`-${name}`, String(value)]);
  const ended = await runToEnd(tools.clients, [
    "-proto",
    protocol,
    "-addr",
    `127.0.0.1:${port}`,
    ...words,
  ]);
  if (ended.kind === "not-found") throw new Error(`${tools.clients} is not there`);
  if (ended.code !== 0) throw new Error(`clients: ${ended.errors.trim()} ${ended.output.trim()}`);
  // Decode boundary: our own program's line.
  return (JSON.parse(ended.output) as { readonly seconds: number }).seconds;
}

/** What the control measured about itself. */
interface ControlResult {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly entries: number;
  readonly rssBytes: number;
}

/** One run of the C control under a load. */
export async function runControl(
  load: Omit<Load, "port">,
  mode: "log" | "discard",
): Promise<{ readonly load: LoadResult; readonly control: ControlResult }> {
  const directory = await temporaryDirectory();
  const child = spawn(tools.control, [String(load.count), mode, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const ready = await within(controlReadyMs, "control ready", lines.next());
    const port = Number(/^ready (\d+)$/.exec(String(ready.value))?.[1]);
    const result = await sendLoad({ ...load, port });
    const last = await within(controlEndMs, "result of the control", lines.next());
    // Decode boundary: our own program's line.
    return { load: result, control: JSON.parse(String(last.value)) as ControlResult };
  } finally {
    child.kill("SIGKILL");
    await removeTemporary(directory);
  }
}

/** The two numbers that every full-speed job gives. */
export function speed(count: number, seconds: number, cpuSeconds: number): readonly Measurement[] {
  return [
    { metric: "records per second", value: count / seconds, unit: "records/s" },
    { metric: "CPU per million records", value: (cpuSeconds / count) * 1e6, unit: "s" },
  ];
}
