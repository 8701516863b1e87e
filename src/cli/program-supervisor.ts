/**
 * `holdfast run` as a child process that is started again when it fails.
 *
 * ```
 * running -> (ended: decide) -> the end | waiting -> running
 * ```
 * A signal that asks for the end is passed on and makes the next end the last one.
 */
import type { Child, Children } from "../host/children.ts";
import type { Clock } from "../host/clock.ts";
import type { HostProcess, HostSignal } from "../host/process.ts";
import type { Random } from "../host/random.ts";
import type { RestartTimes } from "../../supervisors/restart-window.ts";
import { afterEnd, type RestartPolicy } from "./restart-policy.ts";
import { GRACE_MS, STOP_DEADLINE_MS } from "./runner.ts";
import { slept } from "./slept.ts";
import type { Terminal } from "./terminal.ts";

/** Passed on to the child. */
const PASSED: readonly HostSignal[] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"];
/** Those after which it is not started again. */
const STOPS: readonly HostSignal[] = ["SIGTERM", "SIGINT", "SIGHUP"];

/** A child ends itself before: one that does not has a blocked event loop, and is killed. */
export const KILL_AFTER_MS: number = STOP_DEADLINE_MS + 5 * GRACE_MS;

/** What it works with. */
export interface ProgramSupervisorParts {
  readonly children: Children;
  readonly clock: Clock;
  readonly random: Random;
  readonly process: Pick<HostProcess, "onSignals">;
  readonly terminal: Pick<Terminal, "complain">;
  readonly policy: RestartPolicy;
  /** Of the program: `run`, then its own. */
  readonly arguments: readonly string[];
}

/** Supervises once. */
export class ProgramSupervisor {
  readonly #parts: ProgramSupervisorParts;
  readonly #stop = new AbortController();
  #child: Child | undefined;
  #restartTimes: RestartTimes = [];

  constructor(parts: ProgramSupervisorParts) {
    this.#parts = parts;
  }

  /** Resolves with the exit code: of the child that ended last, or 0 for a stop that met none. Never rejects. */
  async run(): Promise<number> {
    const { process, clock } = this.#parts;
    const forget = process.onSignals(PASSED, (signal) => this.#pass(signal));
    try {
      for (;;) {
        const next = await this.#runChild();
        if (next.kind === "end") return next.code;
        if (!(await slept(clock, next.delayMs, this.#stop.signal))) return 0;
      }
    } finally {
      forget();
    }
  }

  async #runChild(): Promise<ReturnType<typeof afterEnd>> {
    const { children, clock, random, policy, terminal } = this.#parts;
    const startedMs = clock.monotonicMs();
    this.#child = children.startSelf(this.#parts.arguments);
    const end = await this.#child.ended;
    this.#child = undefined;
    const nowMs = clock.monotonicMs();
    const next = afterEnd(policy, {
      end,
      ranMs: nowMs - startedMs,
      isStopping: this.#stop.signal.aborted,
      restartTimes: this.#restartTimes,
      nowMs,
      random: random.next(),
    });
    if (next.line !== undefined) terminal.complain(next.line);
    if (next.kind === "restart") this.#restartTimes = next.restartTimes;
    return next;
  }

  #pass(signal: HostSignal): void {
    const child = this.#child;
    child?.signal(signal);
    if (!STOPS.includes(signal) || this.#stop.signal.aborted) return;
    this.#stop.abort();
    if (child !== undefined) this.#limitStop(child);
  }

  #limitStop(child: Child): void {
    const { clock, terminal } = this.#parts;
    const cancel = clock.after(KILL_AFTER_MS, () => {
      terminal.complain(
        `supervise: run has not ended ${KILL_AFTER_MS / 1000} s after the signal, killed`,
      );
      child.signal("SIGKILL");
    });
    void child.ended.then(cancel);
  }
}
