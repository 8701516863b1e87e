/**
 * A logger that holds its lines back until it is known whether the start succeeded: a start that
 * fails is one message, not the same failure several times.
 */
import type { Logger } from "../contract/logger.ts";

/** Lines that are held; a further one is written at once, in front of the others. */
export const HELD_LINES_MAX = 1_000;

type Level = "debug" | "info" | "warn" | "error";

interface Shared {
  /** Undefined once lines go straight through. */
  held: (() => void)[] | undefined;
}

/** Holds lines until `release` or `discard`; from then on it is the logger behind it. */
export class HeldLogger implements Logger {
  readonly #behind: Logger;
  readonly #shared: Shared;

  /** `shared` is for children only. */
  constructor(behind: Logger, shared: Shared = { held: [] }) {
    this.#behind = behind;
    this.#shared = shared;
  }

  debug(message: string, fields?: object): void {
    this.#line("debug", message, fields);
  }

  info(message: string, fields?: object): void {
    this.#line("info", message, fields);
  }

  warn(message: string, fields?: object): void {
    this.#line("warn", message, fields);
  }

  error(message: string, fields?: object): void {
    this.#line("error", message, fields);
  }

  child(fields: object): Logger {
    return new HeldLogger(this.#behind.child(fields), this.#shared);
  }

  /** Writes what was held, in order. */
  release(): void {
    const { held = [] } = this.#shared;
    this.#shared.held = undefined;
    for (const write of held) write();
  }

  /** Forgets what was held. */
  discard(): void {
    this.#shared.held = undefined;
  }

  #line(level: Level, message: string, fields?: object): void {
    const write = (): void => this.#behind[level](message, fields);
    const { held } = this.#shared;
    if (held === undefined || held.length >= HELD_LINES_MAX) write();
    else held.push(write);
  }
}
