/**
 * Files of a running program that fail on command: a library that is loaded in front of the C library and that a file
 * of rules controls. It is compiled here; where there is no compiler the test says so and is skipped.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { eventually } from "../support/deadline.ts";
import { repositoryRoot } from "../support/repository.ts";

const runFile = promisify(execFile);
const deadlineMs = 30_000;

/** Calls that fail. */
export interface DiskFault {
  readonly call: "write" | "sync" | "read";
  /** `eio`: nothing is done. `late`: it is done and reported as failed. `short`: half of it is done and told so. */
  readonly effect: "eio" | "late" | "short";
  /** Pattern of the shell for the file's path; `*` matches `/` too. */
  readonly path: string;
  /** How many matching calls fail; all of them unless given. */
  readonly count?: number;
  /** Only calls that touch these bytes, half open. */
  readonly bytes?: readonly [from: number, to: number];
}

/** The faults of one program. */
export class DiskFaults {
  /** What the program is to be started with. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #rules: string;

  constructor(directory: string, library: string) {
    this.#rules = join(directory, "rules");
    // Node's files go through the pool of threads and the C library; io_uring would go past it.
    this.environment = {
      LD_PRELOAD: library,
      HOLDFAST_DISK_FAULTS: this.#rules,
      UV_USE_IO_URING: "0",
    };
  }

  /** From now on these calls fail and no others. */
  async set(...faults: readonly DiskFault[]): Promise<void> {
    const lines = faults.map(({ bytes, call, count, effect, path }) => {
      const [from, to] = bytes ?? [0, 0];
      return `${call} ${effect} 1 ${count ?? 1_000_000_000} ${from} ${to} ${path}\n`;
    });
    await rm(`${this.#rules}.struck`, { force: true });
    await writeFile(`${this.#rules}.next`, lines.join(""));
    await rename(`${this.#rules}.next`, this.#rules);
  }

  /** Calls that have failed since the faults were set. */
  async struck(): Promise<number> {
    const found = await stat(`${this.#rules}.struck`).catch(() => undefined);
    return found?.size ?? 0;
  }

  /** Resolves when so many calls have failed. */
  async haveStruck(count: number): Promise<void> {
    const enough = async (): Promise<boolean> => (await this.struck()) >= count;
    await eventually(`${count} failed calls`, enough, { everyMs: 5, deadlineMs });
  }
}

/** Faults for one test. Undefined when they cannot be had here: then the test has been skipped. */
export async function diskFaults(context: TestContext): Promise<DiskFaults | undefined> {
  if (process.platform !== "linux") {
    context.skip("this machine has no LD_PRELOAD as Linux has it");
    return undefined;
  }
  const directory = await mkdtemp(join(tmpdir(), "holdfast-faults-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const library = join(directory, "disk-faults.so");
  const source = join(repositoryRoot(), "test/faults/disk-faults.c");
  try {
    await runFile("gcc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"]);
  } catch (cause) {
    // A compiler that is there and refuses the source is a failure of this test.
    if (!(cause instanceof Error && "code" in cause && cause.code === "ENOENT")) throw cause;
    context.skip("this machine has no gcc");
    return undefined;
  }
  return new DiskFaults(directory, library);
}
