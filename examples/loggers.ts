/**
 * A receiver that is pushed to and acknowledges in a way of its own: loggers connect, send numbered frames, and forget
 * each frame when its number comes back.
 *
 * A frame is its length (2 bytes, big-endian), the logger's serial number (4 bytes), the frame's number (4 bytes, from 1)
 * and the payload. The number of the newest frame on disk comes back as 4 bytes. After a break a logger sends again
 * what was not acknowledged; what is stored already is acknowledged and not stored twice, because each logger is a
 * channel and its newest number is the channel's position.
 */
import {
  type Connection,
  defineReceiver,
  lengthPrefixed,
  type ReceiverContext,
  type ReceiverFactory,
  schema,
} from "holdfast";

/** What one writes for the loggers of a site. */
export interface LoggersOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** @defaultValue 127.0.0.1 */
  readonly host?: string;
}

const SERIAL_BYTES = 4;
const HEADER_BYTES = 8;
const frames = lengthPrefixed({ prefixBytes: 2 });

/** `loggers("site", { port: 9100 })`; in YAML `type: ./loggers.js#loggers`. */
export const loggers: ReceiverFactory<LoggersOptions> = defineReceiver({
  type: "loggers",
  redelivers: true, // what was not acknowledged comes again
  options: schema.object({
    port: schema.port(),
    host: schema.withDefault(schema.string(), "127.0.0.1"),
  }),
  async open(context) {
    const { options, sockets, guard, fail } = context;
    const site = new Site(context);
    const connections = new Set<Connection>();
    const accept = (connection: Connection): void => {
      const splitter = frames.splitter();
      connections.add(connection);
      connection.onClose(() => connections.delete(connection));
      // A throw or a rejection in here fails this incarnation: no frame is acknowledged that is not stored.
      connection.onData(
        guard(async (chunk) => {
          const list = splitter.push(chunk).map((frame) => Buffer.from(frame));
          if (list.some((frame) => frame.length < HEADER_BYTES)) return connection.destroy();
          for (const acknowledged of site.take(list)) connection.write(await acknowledged);
        }),
      );
      if (context.pressure === "full") connection.pause();
    };
    const listener = await sockets.listen({ ...options, backlog: 64 }, accept, fail);
    return {
      address: listener.address,
      pause: () => connections.forEach((each) => each.pause()),
      resume: () => connections.forEach((each) => each.resume()),
      async close() {
        await listener.close();
        for (const each of connections) each.destroy();
      },
    };
  },
});

/** A logger: the newest number that was taken from it, and when all that was taken is on disk. */
interface Logger {
  number: number;
  stored: Promise<unknown>;
}

/** All loggers of one incarnation: one that connects anew goes on where it was, whatever is still on its way. */
class Site {
  readonly #context: Pick<ReceiverContext<unknown>, "store" | "resumePosition">;
  readonly #loggers = new Map<string, Logger>();

  constructor(context: Pick<ReceiverContext<unknown>, "store" | "resumePosition">) {
    this.#context = context;
  }

  /** Stores what is new, without a wait in between: blocks are stored in the order of these calls. */
  take(list: readonly Buffer[]): readonly Promise<Uint8Array>[] {
    const serials = [...new Set(list.map(serialOf))];
    return serials.map((serial) =>
      this.#takeFrom(
        serial,
        list.filter((frame) => serialOf(frame) === serial),
      ),
    );
  }

  async #takeFrom(serial: string, list: readonly Buffer[]): Promise<Uint8Array> {
    const logger = this.#logger(serial);
    const records = list
      .filter((frame) => frame.readUInt32BE(SERIAL_BYTES) > logger.number)
      .map((frame) => ({ key: serial, value: frame.subarray(HEADER_BYTES) }));
    if (records.length > 0) {
      logger.number = Math.max(...list.map((frame) => frame.readUInt32BE(SERIAL_BYTES)));
      const stored = this.#context.store(records, {
        channel: serial,
        position: numberBytes(logger.number),
      });
      logger.stored = Promise.all([logger.stored, stored]);
    }
    const { number, stored } = logger;
    await stored;
    return numberBytes(number);
  }

  #logger(serial: string): Logger {
    const known = this.#loggers.get(serial);
    if (known !== undefined) return known;
    const position = this.#context.resumePosition(serial);
    const number = position === undefined ? 0 : Buffer.from(position).readUInt32BE(0);
    const logger: Logger = { number, stored: Promise.resolve() };
    this.#loggers.set(serial, logger);
    return logger;
  }
}

function serialOf(frame: Buffer): string {
  return frame.toString("hex", 0, SERIAL_BYTES);
}

function numberBytes(number: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}
