/**
 * What a run tells the init system: that it is ready, that it is alive, that it stops.
 */
import type { Ingest } from "../contract/ingest.ts";
import type { Health } from "../contract/status.ts";
import { toError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { InitSystem } from "../host/init-system.ts";
import { slept } from "./slept.ts";
import type { Terminal } from "./terminal.ts";
import { illness, takeVitals } from "./vitals.ts";

/** Signs of life in the time that the init system allows for one: sd_watchdog_enabled(3) asks for two. */
const SIGNS_PER_WATCHDOG = 2;
/** Units that a status names. */
const REASONS_MAX = 3;

/** What it works with. */
export interface ServiceLinkParts {
  /** undefined: nobody listens, and nothing is done. */
  readonly initSystem: InitSystem | undefined;
  readonly ingest: Pick<Ingest, "snapshot" | "health">;
  readonly clock: Clock;
  readonly terminal: Pick<Terminal, "complain">;
}

/** One run's link. Nothing here ever rejects: an init system that does not hear is complained of, once. */
export class ServiceLink {
  readonly #parts: ServiceLinkParts;
  readonly #ended = new AbortController();
  /** Messages go one after the other: ready, a sign of life at a time, stopping. */
  #told: Promise<void> = Promise.resolve();
  #hasComplained = false;

  constructor(parts: ServiceLinkParts) {
    this.#parts = parts;
  }

  /** Everything listens. From now on signs of life are sent while all is well. */
  ready(): void {
    const { initSystem } = this.#parts;
    if (initSystem === undefined) return;
    this.#tell(["READY=1", this.#status()]);
    if (initSystem.watchdogMs !== undefined)
      void this.#watch(initSystem.watchdogMs / SIGNS_PER_WATCHDOG);
  }

  /** It stops; signs of life go on, because a stop has a deadline of its own. */
  stopping(): void {
    this.#tell(["STOPPING=1"]);
  }

  /** It has ended. Resolves when what was told is told, so that no message is cut off. */
  async end(): Promise<void> {
    this.#ended.abort();
    await this.#told;
  }

  async #watch(everyMs: number): Promise<void> {
    const { ingest, clock, terminal } = this.#parts;
    let vitals = takeVitals(ingest.snapshot(), clock.monotonicMs());
    let wasIll = false;
    while (await slept(clock, everyMs, this.#ended.signal)) {
      vitals = takeVitals(ingest.snapshot(), clock.monotonicMs(), vitals);
      const why = illness(vitals);
      if (why === undefined) this.#tell(["WATCHDOG=1", this.#status()]);
      else if (!wasIll) terminal.complain(`watchdog: ${why}; no sign of life is sent`);
      wasIll = why !== undefined;
      // The next one waits for this: there is never a queue of them.
      await this.#told;
    }
  }

  #status(): string {
    return `STATUS=${statusText(this.#parts.ingest.health())}`;
  }

  #tell(assignments: readonly string[]): void {
    const { initSystem } = this.#parts;
    if (initSystem === undefined) return;
    this.#told = this.#told.then(() => this.#deliver(initSystem, assignments));
  }

  async #deliver(initSystem: InitSystem, assignments: readonly string[]): Promise<void> {
    try {
      await initSystem.tell(assignments);
      this.#hasComplained = false;
    } catch (cause) {
      this.#complain(toError(cause));
    }
  }

  #complain({ message }: Error): void {
    if (this.#hasComplained) return;
    this.#hasComplained = true;
    this.#parts.terminal.complain(message);
  }
}

/** One line for `systemctl status`; codes only, because a message may have lines. */
function statusText(health: Health): string {
  if (health.kind === "ready") return "ready";
  const shown = health.reasons.slice(0, REASONS_MAX).map(({ unit, code }) => `${unit} ${code}`);
  const more = health.reasons.length - shown.length;
  return `not ready: ${shown.join(", ")}${more > 0 ? `, and ${more} more` : ""}`;
}
