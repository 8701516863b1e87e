/**
 * The control socket as a unit: programs of the same user ask a running instance to do something. A connection
 * carries one request, a JSON object on one line, and one answer:
 *
 * ```
 * {"command":"truncate","arguments":{"before":1204}}
 * {"ok":true,"result":{...}}
 * {"ok":false,"error":{"code":"LOG_NEEDED","message":"...","fix":"..."}}
 * ```
 */
import type { UnitDefinition } from "../contract/unit.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Connection } from "../host/sockets.ts";
import { type ControlPlace, preparePath } from "./control-place.ts";

/** Something that an instance does when it is asked to. */
export interface ControlCommand {
  readonly name: string;
  /**
   * Resolves with a value that JSON can carry. Checks its arguments: they are whatever was sent. A rejection is the
   * answer too, with its code.
   */
  run(given: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** What the unit works with. */
export interface ControlOptions extends ControlPlace {
  readonly clock: Clock;
  readonly commands: readonly ControlCommand[];
}

/** Requests at a time; a further one is refused. */
export const CONTROL_CONNECTIONS_MAX = 8;
/** Longest line of a request. */
export const REQUEST_BYTES_MAX: number = 64 * 1024;
/** For a request to arrive, and for its answer to be taken. */
export const EXCHANGE_TIMEOUT_MS = 5_000;
/** For a command to be done. */
export const COMMAND_TIMEOUT_MS = 60_000;

const NEWLINE = 0x0a;

/** The unit `control`. Its failure is its own: nothing else needs it. */
export function controlUnit(options: ControlOptions): UnitDefinition {
  return {
    name: "control",
    async open({ fail }) {
      const prepared = await preparePath(options);
      const exchanges = new Set<Exchange>();
      const accept = (connection: Connection): void => {
        const exchange = new Exchange(connection, options);
        connection.onClose(() => exchanges.delete(exchange));
        exchanges.add(exchange);
        if (exchanges.size > CONTROL_CONNECTIONS_MAX) exchange.refuse(busy());
        else exchange.begin();
      };
      const listener = await listenOr(
        () => prepared.release(),
        () => options.local.listen(prepared.path, accept, fail),
      );
      return {
        async close() {
          await listener.close();
          for (const exchange of exchanges) exchange.abandon();
          await prepared.release();
        },
      };
    },
  };
}

async function listenOr<T>(release: () => Promise<void>, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (cause) {
    await release();
    throw cause;
  }
}

function busy(): HoldfastError {
  return new HoldfastError(
    "CONTROL_UNAVAILABLE",
    `${CONTROL_CONNECTIONS_MAX} requests are being answered, which is the most at a time`,
    { fix: "try again" },
  );
}

/** One connection. */
class Exchange {
  readonly #connection: Connection;
  readonly #options: ControlOptions;
  #line: Uint8Array[] = [];
  #lineBytes = 0;
  #isAsked = false;
  #cancel = (): void => undefined;

  constructor(connection: Connection, options: ControlOptions) {
    this.#connection = connection;
    this.#options = options;
    connection.onClose(() => this.#cancel());
  }

  begin(): void {
    this.#connection.onData((chunk) => this.#receive(chunk));
    this.#connection.onEnd(() => {
      if (!this.#isAsked) this.refuse(invalid("the request ended without a newline"));
    });
    this.#cancel = this.#options.clock.after(EXCHANGE_TIMEOUT_MS, () =>
      this.refuse(invalid(`no request within ${EXCHANGE_TIMEOUT_MS} ms`)),
    );
  }

  refuse(error: Error): void {
    this.#isAsked = true;
    this.#answer({ ok: false, error: errorFields(error) });
  }

  /** The instance stops: what is not answered by now will not be. */
  abandon(): void {
    this.#cancel();
    this.#connection.destroy();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#isAsked) return;
    const end = chunk.indexOf(NEWLINE);
    const part = end === -1 ? chunk : chunk.subarray(0, end);
    this.#lineBytes += part.length;
    if (this.#lineBytes > REQUEST_BYTES_MAX)
      return this.refuse(
        invalid(`a request of more than ${REQUEST_BYTES_MAX} bytes, which is the most`),
      );
    this.#line.push(part.slice());
    if (end === -1) return;
    this.#isAsked = true;
    this.#cancel();
    void this.#ask(Buffer.concat(this.#line).toString());
  }

  /** Never rejects: what goes wrong is the answer. */
  async #ask(line: string): Promise<void> {
    try {
      const result = await this.#withinLimit(run(line, this.#options.commands));
      this.#answer({ ok: true, result });
    } catch (cause) {
      this.#answer({ ok: false, error: errorFields(toError(cause)) });
    }
  }

  async #withinLimit(work: Promise<unknown>): Promise<unknown> {
    let cancel = (): void => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      cancel = this.#options.clock.after(COMMAND_TIMEOUT_MS, () =>
        reject(
          new HoldfastError(
            "CONTROL_UNAVAILABLE",
            `not done within ${COMMAND_TIMEOUT_MS} ms; it goes on`,
          ),
        ),
      );
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      cancel();
    }
  }

  #answer(answer: object): void {
    this.#cancel();
    this.#connection.write(`${JSON.stringify(answer)}\n`);
    // Whoever does not take its answer keeps no place.
    this.#cancel = this.#options.clock.after(EXCHANGE_TIMEOUT_MS, () => this.#connection.destroy());
    void this.#connection.close();
  }
}

async function run(line: string, commands: readonly ControlCommand[]): Promise<unknown> {
  const request = readObject(line);
  const { command: name, arguments: given = {} } = request;
  const command = commands.find((each) => each.name === name);
  if (command === undefined) {
    const known = commands.map((each) => each.name).join(", ");
    throw invalid(`unknown command ${JSON.stringify(name)}, known are ${known}`);
  }
  if (!isObject(given)) throw invalid(`${command.name}: its arguments are no JSON object`);
  return await command.run(given);
}

function readObject(line: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new HoldfastError("CONTROL_REQUEST", "the request is no JSON", { cause });
  }
  if (isObject(value)) return value;
  throw invalid("the request is no JSON object");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("CONTROL_REQUEST", message);
}

function errorFields(error: Error): object {
  if (error instanceof HoldfastError)
    return { code: error.code, message: error.message, fix: error.fix };
  return { code: "INTERNAL", message: error.message, fix: "" };
}
