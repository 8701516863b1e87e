/**
 * The bench's own programs, built when they are needed: the load generator (Go), the control and the loop of
 * durable writes (C).
 */
import { spawn, type SpawnOptions } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder `bench/` of the sources; this file runs from `dist/bench/`. */
const sourceDirectory: string = fileURLToPath(new URL("../../bench/", import.meta.url));
/** What is built or installed for a bench; git ignores it. */
export const buildDirectory: string = join(sourceDirectory, "build");

/** Results are written beside the sources. */
export function benchFile(name: string): string {
  return join(sourceDirectory, name);
}

/** Paths of the built programs. */
export interface Tools {
  readonly generator: string;
  readonly clients: string;
  readonly control: string;
  readonly durable: string;
}

export const tools: Tools = {
  generator: join(buildDirectory, "generator"),
  clients: join(buildDirectory, "clients"),
  control: join(buildDirectory, "control"),
  durable: join(buildDirectory, "durable"),
};

/** Something that the machine lacks; its message says what to install. */
export class ToolMissing extends Error {}

/** Builds all programs; rejects with {@link ToolMissing} where a compiler or a library is missing. */
export async function buildTools(): Promise<void> {
  await mkdir(buildDirectory, { recursive: true });
  await compile({
    command: "go",
    arguments: ["build", "-o", tools.generator, "."],
    directory: join(sourceDirectory, "generator"),
    need: "the load generator is written in Go (Debian: apt-get install golang-go)",
  });
  await compile({
    command: "go",
    arguments: ["build", "-o", tools.clients, "."],
    directory: join(sourceDirectory, "clients"),
    need: "the clients are written in Go (Debian: apt-get install golang-go)",
  });
  await compile({
    command: "gcc",
    arguments: ["-O2", "-o", tools.control, "control.c", "-lz", "-lpthread"],
    directory: join(sourceDirectory, "control"),
    need: "the control is written in C and uses zlib (Debian: apt-get install gcc zlib1g-dev)",
  });
  await compile({
    command: "gcc",
    arguments: ["-O2", "-o", tools.durable, "durable.c"],
    directory: join(sourceDirectory, "control"),
    need: "the loop of durable writes is written in C (Debian: apt-get install gcc)",
  });
}

interface Compilation {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly directory: string;
  readonly need: string;
}

async function compile({ command, arguments: words, directory, need }: Compilation): Promise<void> {
  const ended = await runToEnd(command, words, { cwd: directory });
  if (ended.kind === "not-found") throw new ToolMissing(`${command} is missing: ${need}`);
  if (ended.code !== 0) throw new ToolMissing(`${command} failed: ${need}\n${ended.errors}`);
}

/** How a command ended, with what it printed. */
export type Ended =
  | { readonly kind: "not-found" }
  | {
      readonly kind: "ended";
      readonly code: number | null;
      readonly output: string;
      readonly errors: string;
    };

/** Runs a command to its end. */
export function runToEnd(
  command: string,
  words: readonly string[],
  options: SpawnOptions = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...words], { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout?.on("data", (part) => (output += String(part)));
    child.stderr?.on("data", (part) => (errors += String(part)));
    child.once("error", (cause) => {
      if ("code" in cause && cause.code === "ENOENT") resolve({ kind: "not-found" });
      else reject(cause);
    });
    child.once("close", (code) => resolve({ kind: "ended", code, output, errors }));
  });
}
