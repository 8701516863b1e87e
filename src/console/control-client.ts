/**
 * Asks the instance that runs on a data directory, if there is one.
 */
import { CODES, type Code, codeOf, HoldfastError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Connection } from "../host/sockets.ts";
import { COMMAND_TIMEOUT_MS, EXCHANGE_TIMEOUT_MS } from "./control.ts";
import { type ControlPlace, findPath } from "./control-place.ts";

/** Longest answer. */
const ANSWER_BYTES_MAX: number = 1024 * 1024;
/** A little more than the instance gives itself. */
const ANSWER_TIMEOUT_MS: number = COMMAND_TIMEOUT_MS + 2 * EXCHANGE_TIMEOUT_MS;

/** Nobody listens there, or what a killed instance left behind. */
const ABSENCES: readonly string[] = ["ENOENT", "ECONNREFUSED", "ENOTSOCK", "ENOTDIR"];

/** What to ask, and where. */
export interface ControlCall extends ControlPlace {
  readonly clock: Clock;
  readonly command: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** What came of it. */
export type ControlAnswer =
  | { readonly kind: "answered"; readonly result: unknown }
  /** No instance runs on the directory, or it has no control socket. */
  | { readonly kind: "absent" };

/**
 * Asks and waits for the answer. An error that the instance answers is thrown with its code.
 *
 * @throws CONTROL_UNAVAILABLE when there is no answer, and what the command says
 */
export async function askControl(call: ControlCall): Promise<ControlAnswer> {
  const path = await findPath(call);
  if (path === undefined) return { kind: "absent" };
  const limit = new AbortController();
  const cancel = call.clock.after(ANSWER_TIMEOUT_MS, () =>
    limit.abort(unavailable(`no answer within ${ANSWER_TIMEOUT_MS} ms`)),
  );
  try {
    const connection = await call.local.connect(path, limit.signal);
    const line = await exchange(connection, call, limit.signal);
    return { kind: "answered", result: readAnswer(line) };
  } catch (error) {
    if (ABSENCES.includes(codeOf(error))) return { kind: "absent" };
    if (error instanceof HoldfastError) throw error;
    throw unavailable(`${path}: ${codeOf(error)}`, error);
  } finally {
    cancel();
  }
}

async function exchange(
  connection: Connection,
  { command, arguments: given }: ControlCall,
  signal: AbortSignal,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const answered = new Promise<string>((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    connection.onData((chunk) => {
      bytes += chunk.length;
      chunks.push(chunk.slice());
      if (bytes > ANSWER_BYTES_MAX)
        reject(unavailable(`an answer of more than ${ANSWER_BYTES_MAX} bytes`));
      else if (chunk.includes(0x0a)) resolve(Buffer.concat(chunks).toString());
    });
    const ended = (): void => reject(unavailable("the instance closed the connection unasked"));
    connection.onEnd(ended);
    connection.onClose(ended);
  });
  try {
    connection.write(`${JSON.stringify({ command, arguments: given })}\n`);
    return await answered;
  } finally {
    connection.destroy();
  }
}

function readAnswer(line: string): unknown {
  let answer: unknown;
  try {
    answer = JSON.parse(line);
  } catch (cause) {
    throw unavailable("the answer is no JSON", cause);
  }
  if (!isObject(answer)) throw unavailable("the answer is no JSON object");
  if (answer["ok"] === true) return answer["result"];
  const { code, message, fix } = isObject(answer["error"]) ? answer["error"] : {};
  throw new HoldfastError(knownCode(code), String(message), {
    fix: typeof fix === "string" ? fix : "",
  });
}

/** An instance of another version may know codes that this one does not. */
function knownCode(code: unknown): Code {
  return Object.keys(CODES).find((each): each is Code => each === code) ?? "CONTROL_UNAVAILABLE";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unavailable(message: string, cause?: unknown): HoldfastError {
  return new HoldfastError("CONTROL_UNAVAILABLE", `the running instance: ${message}`, {
    cause,
    fix: "try again, or look at the instance",
  });
}
