/**
 * Runs a measurement in a child process: its memory, its garbage and its CPU are its own.
 */
import { fileURLToPath } from "node:url";
import { within } from "../../test/support/deadline.ts";
import { removeTemporary, temporaryDirectory } from "../temporary.ts";
import { runToEnd, tools } from "../tools.ts";
import type { Probes } from "./probes.ts";

/** The program that runs a probe. */
export const probePath: string = fileURLToPath(new URL("./probe.js", import.meta.url));
const probeMs = 300_000;
const nodeFlags = ["--expose-gc"];

type OptionsOf<Name extends keyof Probes> = Parameters<Probes[Name]>[0];
type NumbersOf<Name extends keyof Probes> = Awaited<ReturnType<Probes[Name]>>;

/** Arguments of Node for a probe. */
export function probeWords<Name extends keyof Probes>(
  name: Name,
  options: OptionsOf<Name>,
): readonly string[] {
  return [...nodeFlags, probePath, name, JSON.stringify(options)];
}

/** Rejects with what the probe wrote to its error stream when it fails. */
export async function runProbe<Name extends keyof Probes>(
  name: Name,
  options: OptionsOf<Name>,
): Promise<NumbersOf<Name>> {
  const running = runToEnd(process.execPath, probeWords(name, options));
  const ended = await within(probeMs, `probe ${name}`, running);
  if (ended.kind === "not-found") throw new Error(`${process.execPath} is not there`);
  if (ended.code !== 0) throw new Error(`probe ${name}: ${ended.errors.trim()}`);
  if (ended.errors !== "") console.error(ended.errors.trim());
  // Decode boundary: our own program's line.
  return JSON.parse(ended.output) as NumbersOf<Name>;
}

/** Runs `work` with a folder of its own, which is removed afterwards. */
export async function withDirectory<Value>(
  work: (directory: string) => Promise<Value>,
): Promise<Value> {
  const directory = await temporaryDirectory();
  try {
    return await work(directory);
  } finally {
    await removeTemporary(directory);
  }
}

/** What the C loop of `bench/control/durable.c` measured. */
export interface BareWrites {
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Durable writes of one size over recycled segments, from C. */
export function runBareWrites(writes: {
  readonly segmentBytes: number;
  readonly writeBytes: number;
  readonly count: number;
  readonly flush: "dsync" | "fdatasync";
}): Promise<BareWrites> {
  const { count, flush, segmentBytes, writeBytes } = writes;
  return withDirectory(async (directory) => {
    const numbers = [segmentBytes, bareSegments, writeBytes, count].map(String);
    const ended = await runToEnd(tools.durable, [directory, ...numbers, flush]);
    if (ended.kind === "not-found") throw new Error(`${tools.durable} is not there`);
    if (ended.code !== 0) throw new Error(`durable: ${ended.errors.trim()}`);
    // Decode boundary: our own program's line.
    return JSON.parse(ended.output) as BareWrites;
  });
}

/** As many as the log keeps: one that is written, two spares. */
export const bareSegments = 3;
