/**
 * The real program as a child process: its lines, its signals, its end.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { within } from "./deadline.ts";

/** Lines of output that are kept for messages. */
const linesMax = 60;
/** How long a child may take to be gone after SIGKILL. */
const killDeadlineMs = 30_000;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What to start: `arguments` of this Node, of which the first is usually {@link programPath}. */
export interface ProgramOptions {
  readonly arguments: readonly string[];
  readonly directory: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The program as it is shipped, beside these compiled tests. */
export const programPath: string = fileURLToPath(
  new URL("../../bundle/holdfast.js", import.meta.url),
);

interface Waiter {
  readonly pattern: RegExp;
  resolve(line: string): void;
  reject(cause: Error): void;
}

// A test run that is interrupted must not leave programs behind.
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A started program. Its standard output and error are read as lines, in the order they arrive. */
export class RunningProgram {
  /** Resolves when the process is gone and its output is read; never rejects. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiters = new Set<Waiter>();
  #exit: Exit | undefined;

  constructor(options: ProgramOptions) {
    this.#child = spawn(process.execPath, [...options.arguments], {
      cwd: options.directory,
      env: { ...process.env, ...options.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      if (stream !== null) createInterface(stream).on("line", (line) => this.#heard(line));
    this.exited = new Promise((resolve) => {
      this.#child.once("close", (code, signal) => resolve(this.#ended({ code, signal })));
    });
  }

  /** Its process id; -1 when it could not be started at all. */
  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** How it ended, or undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** The last lines it printed, for messages. */
  get output(): string {
    return this.#lines.join("\n");
  }

  /** Resolves with the first line that matches, printed already or later; rejects when the process ends before. */
  line(pattern: RegExp): Promise<string> {
    const printed = this.#lines.find((line) => pattern.test(line));
    if (printed !== undefined) return Promise.resolve(printed);
    return this.nextLine(pattern);
  }

  /** Like {@link line}, but of the lines that come from now on: of a program's next start, say. */
  nextLine(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#exit === undefined) this.#waiters.add({ pattern, resolve, reject });
      else reject(this.#endedError(pattern));
    });
  }

  /** Sends a signal; nothing happens when the process is gone. */
  signal(signal: NodeJS.Signals): void {
    if (this.#exit === undefined) this.#child.kill(signal);
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(): Promise<Exit> {
    this.signal("SIGKILL");
    return within(killDeadlineMs, "end after SIGKILL", this.exited);
  }

  /** SIGTERM, and waits for the end at most `deadlineMs`; then it is killed and this rejects with its output. */
  async stop(deadlineMs: number): Promise<Exit> {
    this.signal("SIGTERM");
    try {
      return await within(deadlineMs, "end after SIGTERM", this.exited);
    } catch (cause) {
      await this.kill();
      throw new Error(`the program did not stop; it printed:\n${this.output}`, { cause });
    }
  }

  #heard(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > linesMax) this.#lines.shift();
    for (const waiter of this.#waiters)
      if (waiter.pattern.test(line)) {
        this.#waiters.delete(waiter);
        waiter.resolve(line);
      }
  }

  #ended(exit: Exit): Exit {
    this.#exit = exit;
    running.delete(this.#child);
    for (const waiter of this.#waiters) waiter.reject(this.#endedError(waiter.pattern));
    this.#waiters.clear();
    return exit;
  }

  #endedError(pattern: RegExp): Error {
    const end = this.#exit?.signal ?? `code ${this.#exit?.code}`;
    return new Error(`ended with ${end} before it printed ${pattern}; it printed:\n${this.output}`);
  }
}
