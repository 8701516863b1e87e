/** A logger whose lines a test can read. */
import type { Logger } from "../../src/contract/logger.ts";

export interface Line {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function recordingLogger(): { readonly logger: Logger; readonly lines: Line[] } {
  const lines: Line[] = [];
  const at = (bound: object): Logger => {
    const write =
      (level: Line["level"]) =>
      (message: string, fields: object = {}) =>
        void lines.push({ level, message, fields: { ...bound, ...fields } });
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (fields) => at({ ...bound, ...fields }),
    };
  };
  return { logger: at({}), lines };
}
