/**
 * A receiver that polls: reads holding registers of a Modbus/TCP device, once per interval.
 *
 * What was not stored is read again at the next poll, so nothing is acknowledged. A device that does not answer in
 * time, breaks off or answers nonsense fails this incarnation: the supervisor opens another one, with backoff.
 */
import { type Connection, defineReceiver, type ReceiverFactory, schema } from "holdfast";

/** What one writes for a device. */
export interface RegistersOptions {
  readonly host: string;
  /** @defaultValue 502 */
  readonly port?: number;
  /** Unit behind a serial gateway, 0 .. 247. @defaultValue 1 */
  readonly unit?: number;
  /** First register, 0 .. 65,535. */
  readonly address: number;
  /** Registers to read, 1 .. 125: what one answer holds. */
  readonly count: number;
  /** @defaultValue 1,000 */
  readonly intervalMs?: number;
  /** For an answer. @defaultValue 2,000 */
  readonly timeoutMs?: number;
}

/** `registers("pump", { host: "10.0.0.8", address: 100, count: 4 })`; in YAML `type: ./registers.js#registers`. */
export const registers: ReceiverFactory<RegistersOptions> = defineReceiver({
  type: "registers",
  redelivers: true,
  dials: true, // a device that is switched off is tried for ever
  options: schema.object({
    host: schema.string(),
    port: schema.withDefault(schema.port(), 502),
    unit: schema.withDefault(schema.integer({ min: 0, max: 247 }), 1),
    address: schema.integer({ min: 0, max: 65_535 }),
    count: schema.integer({ min: 1, max: 125 }),
    intervalMs: schema.durationMs({ default: 1_000, min: 10 }),
    timeoutMs: schema.durationMs({ default: 2_000, min: 10 }),
  }),
  async open({ options, connect, clock, signal, store, fail }) {
    const { address, count, intervalMs, timeoutMs } = options;
    const device = new Device(await connect(options), fail);
    return {
      async run() {
        for (; !signal.aborted; await clock.sleep(intervalMs, signal)) {
          const late = clock.after(timeoutMs, () =>
            fail(new Error(`no answer in ${timeoutMs} ms`)),
          );
          try {
            const values = await device.read(options);
            const timestampMs = clock.wallMs();
            await store({ value: JSON.stringify({ address, values }), timestampMs });
          } finally {
            late();
          }
        }
      },
      close: () => device.end(`closed while ${count} registers were awaited`),
    };
  },
});

const READ_HOLDING_REGISTERS = 3;
const HEADER_BYTES = 7;
/** A header and the longest answer. */
const ANSWER_BYTES_MAX = 260;

/** One request at a time (MODBUS Messaging on TCP/IP, 3.1: transaction, protocol 0, length, unit; then the PDU). */
class Device {
  readonly #connection: Connection;
  #received: Buffer = Buffer.alloc(0);
  #transaction = 0;
  #answered: ((values: number[] | Error) => void) | undefined;

  constructor(connection: Connection, fail: (cause: unknown, bytes?: Uint8Array) => void) {
    this.#connection = connection;
    connection.onData((chunk) => this.#take(chunk));
    connection.onClose((cause) => fail(cause ?? new Error("the device ended the connection")));
  }

  /** The registers' values; rejects when the device says that it has none. */
  async read({
    unit,
    address,
    count,
  }: {
    readonly unit: number;
    readonly address: number;
    readonly count: number;
  }): Promise<number[]> {
    const request = Buffer.alloc(12);
    this.#transaction = (this.#transaction + 1) % 2 ** 16;
    request.writeUInt16BE(this.#transaction, 0);
    request.writeUInt16BE(6, 4);
    request.writeUInt8(unit, 6);
    request.writeUInt8(READ_HOLDING_REGISTERS, 7);
    request.writeUInt16BE(address, 8);
    request.writeUInt16BE(count, 10);
    this.#connection.write(request);
    const answer = await new Promise<number[] | Error>((resolve) => (this.#answered = resolve));
    if (answer instanceof Error) throw answer;
    return answer;
  }

  end(why: string): void {
    this.#answered?.(new Error(why));
    this.#connection.destroy();
  }

  #take(chunk: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    if (this.#received.length > ANSWER_BYTES_MAX)
      return this.#answered?.(
        new Error(`answer of ${this.#received.length} bytes, limit ${ANSWER_BYTES_MAX}`),
      );
    if (this.#received.length < HEADER_BYTES) return;
    const end = HEADER_BYTES - 1 + this.#received.readUInt16BE(4);
    if (this.#received.length < end) return;
    const frame = this.#received.subarray(0, end);
    this.#received = this.#received.subarray(end);
    // What answers an earlier question comes too late.
    if (frame.readUInt16BE(0) === this.#transaction) this.#answered?.(valuesOf(frame));
  }
}

function valuesOf(frame: Buffer): number[] | Error {
  const code = frame[HEADER_BYTES];
  if (code === (READ_HOLDING_REGISTERS | 0x80))
    return new Error(`the device refuses with code ${frame[8]}`);
  const byteCount = frame[8] ?? 0;
  if (code !== READ_HOLDING_REGISTERS || frame.length !== HEADER_BYTES + 2 + byteCount)
    return new Error(
      `answer of function ${code} with ${frame.length} bytes for ${byteCount} of values`,
    );
  return Array.from({ length: byteCount / 2 }, (_, index) => frame.readUInt16BE(9 + 2 * index));
}
