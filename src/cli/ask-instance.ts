/**
 * A question to the instance that runs on a data directory.
 */
import { askControl, type ControlAnswer } from "../console/control-client.ts";
import { HoldfastError } from "../errors.ts";
import type { Host } from "../host/host.ts";

/** What to ask. */
export interface Question {
  readonly directory: string;
  readonly command: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Asks, or finds that no instance runs there. @throws CONTROL_UNAVAILABLE, and what the instance answers */
export async function askInstance(
  { files, local, clock }: Pick<Host, "files" | "local" | "clock">,
  question: Question,
): Promise<ControlAnswer> {
  if (local === undefined) return { kind: "absent" };
  return await askControl({ files, local, clock, ...question });
}

/** Asks one that has to run. @throws CONTROL_UNAVAILABLE also when none does */
export async function askRunning(
  host: Pick<Host, "files" | "local" | "clock">,
  question: Question,
): Promise<unknown> {
  const answer = await askInstance(host, question);
  if (answer.kind === "answered") return answer.result;
  throw new HoldfastError(
    "CONTROL_UNAVAILABLE",
    `no instance runs on ${question.directory}, or it has no control socket`,
    { fix: "holdfast run" },
  );
}

/** The instance answered in another shape: it is of another version. */
export function notUnderstood(): HoldfastError {
  return new HoldfastError(
    "CONTROL_UNAVAILABLE",
    "the running instance answered something that this program does not understand",
    { fix: "use the holdfast of the version that runs" },
  );
}
