/**
 * Ids of topics: the only thing that tells a topic from another of the same name that was made after it. kafkajs asks for
 * metadata in a version without them, so this is a request of our own, sent over its connection:
 *
 *     Metadata v12:  topics, each an id of zeros and a name; whether to create them; whether to tell who may do what
 */
import { topicIdOf } from "./position.ts";

/** Sends requests; a broker of kafkajs has one. */
export interface RequestSender {
  send(protocol: {
    readonly request: KafkaRequest;
    readonly response: KafkaResponse;
  }): Promise<unknown>;
}

/** Bytes in the shape that kafkajs takes them. */
interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
  size(): number;
}

interface KafkaRequest {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  encode(): Promise<Encoded>;
}

interface KafkaResponse {
  decode(payload: Buffer): Promise<TopicIds>;
  parse(decoded: TopicIds): Promise<TopicIds>;
}

type TopicIds = ReadonlyMap<string, string | undefined>;

/** Number of the request, and the version that first has ids and takes names. */
const METADATA = 3;
const VERSION = 12;

/** Whether a broker that answers these versions tells ids. */
export function tellsTopicIds(versions: unknown): boolean {
  const range: unknown = isObject(versions) ? versions[METADATA] : undefined;
  if (!isObject(range)) return false;
  const { minVersion, maxVersion } = range;
  return (
    typeof minVersion === "number" &&
    typeof maxVersion === "number" &&
    minVersion <= VERSION &&
    maxVersion >= VERSION
  );
}

/** The id of each topic; one that is not there has none. */
export async function askTopicIds(
  sender: RequestSender,
  topics: readonly string[],
): Promise<TopicIds> {
  let ids: TopicIds = new Map();
  const body = encodeRequest(topics);
  await sender.send({
    request: {
      apiKey: METADATA,
      apiVersion: VERSION,
      apiName: "Metadata",
      encode: () => Promise.resolve({ buf: body, buffer: body, size: () => body.length }),
    },
    response: {
      decode: (payload) => {
        ids = decodeResponse(payload);
        return Promise.resolve(ids);
      },
      parse: (decoded) => Promise.resolve(decoded),
    },
  });
  return ids;
}

const NO_TAGS = Buffer.of(0);
const NO_ID = Buffer.alloc(16);

/** The request behind its header, whose own tags kafkajs does not write: they come first here. */
function encodeRequest(topics: readonly string[]): Buffer {
  const parts = topics.flatMap((topic) => [
    NO_ID,
    unsigned(Buffer.byteLength(topic) + 1),
    Buffer.from(topic),
    NO_TAGS,
  ]);
  const isFalse = Buffer.of(0);
  return Buffer.concat([NO_TAGS, unsigned(topics.length + 1), ...parts, isFalse, isFalse, NO_TAGS]);
}

/** What comes behind the number of the request: tags, a pause in ms, brokers, the cluster, its controller, topics. */
function decodeResponse(payload: Buffer): TopicIds {
  const reader = new Reader(payload);
  reader.tags();
  reader.skip(4);
  reader.each(() => {
    reader.skip(4);
    reader.text();
    reader.skip(4);
    reader.text();
    reader.tags();
  });
  reader.text();
  reader.skip(4);
  const ids = new Map<string, string | undefined>();
  reader.each(() => {
    reader.skip(2);
    const name = reader.text();
    const id = reader.bytes(16);
    ids.set(name, topicIdOf(id));
    reader.skip(1);
    reader.each(() => readPartition(reader));
    reader.skip(4);
    reader.tags();
  });
  return ids;
}

/** Error, number, leader, leader's epoch; replicas, those in sync, those that are away. */
function readPartition(reader: Reader): void {
  reader.skip(2 + 4 + 4 + 4);
  for (let list = 0; list < 3; list++) reader.each(() => reader.skip(4));
  reader.tags();
}

/** Reads the compact types of the protocol. Past the end it throws a RangeError. */
class Reader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  skip(byteCount: number): void {
    this.bytes(byteCount);
  }

  bytes(byteCount: number): Buffer {
    const end = this.#at + byteCount;
    if (end > this.#buffer.length)
      throw new RangeError(`the answer has ${this.#buffer.length} bytes, wanted ${end}`);
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** Nothing reads as an empty text. */
  text(): string {
    return this.bytes(Math.max(0, this.#unsigned() - 1)).toString();
  }

  each(read: () => void): void {
    const count = this.#unsigned() - 1;
    for (let i = 0; i < count; i++) read();
  }

  tags(): void {
    const count = this.#unsigned();
    for (let i = 0; i < count; i++) {
      this.#unsigned();
      this.skip(this.#unsigned());
    }
  }

  #unsigned(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes(1).readUInt8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }
}

function unsigned(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function isObject(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === "object" && value !== null;
}
