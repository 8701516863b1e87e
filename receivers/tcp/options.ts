/**
 * Options of the tcp receiver.
 */
import {
  delimited,
  type Framing,
  lengthPrefixed,
  lines,
  MESSAGE_BYTES_DEFAULT,
  MESSAGE_BYTES_LIMIT,
  octetCounting,
} from "../../src/framing/index.ts";
import { UNFINISHED_BYTES } from "../../src/record/unfinished-bytes.ts";
import { checkOptions, customField, type ObjectSchema, schema } from "../../src/schema.ts";
import { accessFields, type AccessOptions, listenHost } from "../../src/access.ts";

/** A framing: a value of `lines()`, `delimited()`, `lengthPrefixed()`, `octetCounting()`, or what YAML can say. */
export type FramingOption =
  | Framing
  | "lines"
  | "octet-counting"
  | { readonly delimited: { readonly delimiter: string } }
  | {
      readonly lengthPrefixed: {
        readonly prefixBytes: 1 | 2 | 4;
        readonly endian?: "big" | "little";
      };
    };

/** What a client is told of its durable messages. */
export type Acknowledge = "none" | "count-line" | "count-bytes";

/** A client that is told nothing cannot know what to send again. */
export function redelivers({ acknowledge }: Pick<TcpOptions, "acknowledge">): boolean {
  return acknowledge !== "none";
}

/** Options with their defaults. */
export interface TcpOptions extends AccessOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** @defaultValue 127.0.0.1 */
  readonly host: string;
  /** How messages are told apart. @defaultValue lines */
  readonly framing: Framing;
  /**
   * `count-line`: how many messages of the connection are on disk, in decimal with a line feed, once per group
   * commit. `count-bytes`: the same as 4 bytes, big-endian, modulo 2^32. @defaultValue none
   */
  readonly acknowledge: Acknowledge;
  /** A further connection is closed at once; 1 .. 65,536. @defaultValue 1,000 */
  readonly connectionsMax: number;
  /** Longest message where the framing names no limit of its own; 1 byte .. 3 MiB. @defaultValue 1 MiB */
  readonly messageBytesMax: number;
  /** Messages whose end has not come, of all connections: beyond it the one that keeps most is ended. @defaultValue 32 MiB */
  readonly unfinishedBytesMax: number;
  /** A connection that sends nothing for so long is closed; 0 = never. @defaultValue 900,000 */
  readonly idleTimeoutMs: number;
}
/** What one writes: the port, and what differs from its default. */
export type TcpInput = Pick<TcpOptions, "port"> &
  Partial<Omit<TcpOptions, "port" | "framing">> & { readonly framing?: FramingOption };

const Delimited = schema.object({
  delimited: schema.object({ delimiter: schema.string({ pattern: /./s, bytesMax: 255 }) }),
});
const LengthPrefixed = schema.object({
  lengthPrefixed: schema.object({
    prefixBytes: schema.integer({ min: 1, max: 4 }),
    endian: schema.withDefault(schema.oneOf("big", "little"), "big"),
  }),
});

const framing = customField(
  "lines, octet-counting, { delimited: { delimiter: 1 to 255 bytes } }, { lengthPrefixed: { prefixBytes: 1, 2 or 4 } } or a framing",
  parseFraming,
);

/** See {@link TcpOptions}. */
export const tcpOptions: ObjectSchema<TcpInput, TcpOptions> = schema.object({
  port: schema.port(),
  host: listenHost,
  framing: schema.withDefault(framing, lines()),
  acknowledge: schema.withDefault(schema.oneOf("none", "count-line", "count-bytes"), "none"),
  connectionsMax: schema.withDefault(schema.integer({ min: 1, max: 65_536 }), 1_000),
  messageBytesMax: schema.sizeBytes({
    default: MESSAGE_BYTES_DEFAULT,
    min: 1,
    max: MESSAGE_BYTES_LIMIT,
  }),
  unfinishedBytesMax: schema.sizeBytes(UNFINISHED_BYTES),
  idleTimeoutMs: schema.durationMs({ default: 900_000, min: 0, max: 2 ** 31 - 1 }),
  ...accessFields,
});

function parseFraming(value: unknown): Framing | undefined {
  if (value === "lines") return lines();
  if (value === "octet-counting") return octetCounting();
  if (isFraming(value)) return value;
  const { value: byDelimiter } = checked(Delimited, value);
  if (byDelimiter !== undefined) return delimited(byDelimiter.delimited);
  const { value: byLength } = checked(LengthPrefixed, value);
  const { prefixBytes, endian } = byLength?.lengthPrefixed ?? {};
  if (prefixBytes !== 1 && prefixBytes !== 2 && prefixBytes !== 4) return undefined;
  return lengthPrefixed({ prefixBytes, ...(endian === undefined ? {} : { endian }) });
}

function checked<Out>(
  anySchema: ObjectSchema<unknown, Out>,
  value: unknown,
): { readonly value?: Out } {
  const result = checkOptions(anySchema, value);
  return result.issues === undefined ? { value: result.value } : {};
}

/** Made by one of the three functions: nothing else says that it is a framing. */
function isFraming(value: unknown): value is Framing {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "framing";
}
