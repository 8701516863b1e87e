/**
 * What a broker keeps and sends as it is: batches of records, one behind the other. The fields of a batch that count here:
 *
 *      0 first offset i64 |  8 length behind here i32 | 16 format i8 (2) | 17 CRC-32C of all behind it u32
 *     21 attributes i16   | 23 last offset, relative i32 | 27 first time i64 | 35 last time i64
 *     43 producer i64     | 57 records i32               | 61 records
 *
 * kafkajs leaves out what a batch says of itself, and that is the only thing that tells what compaction took from a
 * batch's end; it also cannot take batches of very many records.
 */
import { type Code, HoldfastError, toError } from "../../src/errors.ts";
import type { FetchedHeaders, HeaderValue, Message } from "./block-writer.ts";
import { unpack } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";
import { WireReader } from "./wire.ts";

/** A record with its offset as a number. */
export interface KafkaRecord extends Message {
  readonly offset: number;
  readonly timestamp: number;
}

/** Offsets `[from, to)`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * Records of a batch that are objects at a time: some KiB may unpack to millions of records, and these would not fit into
 * memory.
 */
export const PIECE_RECORDS = 8_192;

/** A batch before its records are looked at. */
export interface RecordBatch {
  /** Offset of its first record when it was written. */
  readonly firstOffset: number;
  /** Behind the last one; compaction changes neither. */
  readonly endOffset: number;
  readonly producerId: bigint;
  readonly isTransactional: boolean;
  /** Marks of transactions, no records. */
  readonly isControl: boolean;
  /**
   * Those of the span, in order. Each piece is what is left of {@link PIECE_RECORDS}, maybe nothing: whoever gives others
   * their turn between two of them blocks nobody.
   *
   * @throws KAFKA_CODEC_MISSING, KAFKA_FAILED; the latter also in the middle
   */
  records(span: Span): Promise<Iterable<readonly KafkaRecord[]>>;
}

const LENGTH_AT = 8;
const LENGTH_END = 12;
const FORMAT_AT = 16;
const CHECKSUM_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const FIRST_TIME_AT = 27;
const LAST_TIME_AT = 35;
const PRODUCER_AT = 43;
const COUNT_AT = 57;
const RECORDS_AT = 61;

const FORMAT = 2;
const CODEC_MASK = 0x07;
const IS_APPEND_TIME = 0x08;
const IS_TRANSACTIONAL = 0x10;
const IS_CONTROL = 0x20;

/**
 * The batches of an answer. A broker cuts the last one where its limit is: that one is left out, but never the first. One that
 * is not what its checksum is of, or of another format, ends it: what lies before is read, and the next answer begins with it.
 *
 * @param label - for messages: the source and the partition
 * @throws KAFKA_FAILED when the first batch is such a one, or is not whole
 */
export function batchesOf(bytes: Buffer, label: string): readonly RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; bytes.length - at >= RECORDS_AT; ) {
    const length = LENGTH_END + bytes.readInt32BE(at + LENGTH_AT);
    const isWhole = at + length <= bytes.length;
    const batch = bytes.subarray(at, at + Math.max(length, RECORDS_AT));
    const fault = formatFault(batch, length) ?? (isWhole ? checksumFault(batch) : undefined);
    if (fault !== undefined && batches.length === 0) throw faultyBatch(label, batch, fault);
    if (fault !== undefined || !isWhole) break;
    batches.push(batchOf(batch, label));
    at += length;
  }
  // Whoever reads takes an answer without batches for a partition without records.
  if (batches.length === 0 && bytes.length > 0)
    throw new HoldfastError(
      "KAFKA_FAILED",
      `${label}: a broker sent ${bytes.length} bytes of records and no whole batch`,
      { fix: "see the broker's log: it has to give one batch at least, whatever its length is" },
    );
  return batches;
}

const DUMP = "`kafka-dump-log.sh --deep-iteration --files` reads a segment";

interface Fault {
  readonly what: string;
  readonly fix: string;
}

function formatFault(batch: Buffer, length: number): Fault | undefined {
  const format = batch.readInt8(FORMAT_AT);
  if (format === FORMAT && length >= RECORDS_AT) return undefined;
  return {
    what: `has format ${format} and ${length} bytes, wanted ${FORMAT} and at least ${RECORDS_AT}`,
    fix: "what was written before Kafka 0.11 can only be read as a member of a group",
  };
}

/** Brokers check what they are given, but send what their disks have by then. */
function checksumFault(batch: Buffer): Fault | undefined {
  const written = batch.readUInt32BE(CHECKSUM_AT);
  const found = crc32c(batch.subarray(ATTRIBUTES_AT));
  if (found === written) return undefined;
  return {
    what: `has checksum ${hex(found)} and was written with ${hex(written)}: bytes of it have changed`,
    fix: `look at the broker's disk, ${DUMP}; another replica may have the batch whole`,
  };
}

function faultyBatch(label: string, batch: Buffer, { what, fix }: Fault): HoldfastError {
  const firstOffset = batch.readBigInt64BE(0);
  return new HoldfastError("KAFKA_FAILED", `${label}: the batch at offset ${firstOffset} ${what}`, {
    fix,
  });
}

/** Why it cannot be unpacked, and where it is. */
function packedBatch(label: string, firstOffset: number, cause: Error): HoldfastError {
  const code: Code = cause instanceof HoldfastError ? cause.code : "KAFKA_FAILED";
  const fix = cause instanceof HoldfastError ? cause.fix : "";
  return new HoldfastError(code, `${label}: the batch at offset ${firstOffset}: ${cause.message}`, {
    cause,
    fix: fix === "" ? DUMP : fix,
  });
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, "0");
}

function batchOf(bytes: Buffer, label: string): RecordBatch {
  const firstOffset = Number(bytes.readBigInt64BE(0));
  const attributes = bytes.readInt16BE(ATTRIBUTES_AT);
  return {
    firstOffset,
    endOffset: firstOffset + bytes.readInt32BE(LAST_DELTA_AT) + 1,
    producerId: bytes.readBigInt64BE(PRODUCER_AT),
    isTransactional: (attributes & IS_TRANSACTIONAL) !== 0,
    isControl: (attributes & IS_CONTROL) !== 0,
    async records(span) {
      const packed = bytes.subarray(RECORDS_AT);
      const unpacked = await unpack(attributes & CODEC_MASK, packed).catch((cause: unknown) => {
        throw packedBatch(label, firstOffset, toError(cause));
      });
      return piecesOf(new RecordReader(unpacked, bytes), span, label);
    },
  };
}

function* piecesOf(
  reader: RecordReader,
  span: Span,
  label: string,
): Generator<readonly KafkaRecord[]> {
  while (reader.leftCount > 0 && reader.offset < span.to) {
    let piece: readonly KafkaRecord[];
    try {
      piece = reader.nextPiece(span);
    } catch (cause) {
      const { firstOffset, count, leftCount } = reader;
      throw new HoldfastError(
        "KAFKA_FAILED",
        `${label}: the batch at offset ${firstOffset} ends in its record ${count - leftCount}, it should have ${count}`,
        { cause },
      );
    }
    yield piece;
  }
}

/** Goes through the unpacked records of a batch. */
class RecordReader {
  readonly firstOffset: number;
  readonly count: number;
  /** Records that were not read yet. */
  leftCount: number;
  /** Of the last one that was read. */
  offset = -1;
  readonly #firstTime: number;
  readonly #appendTime: number | undefined;
  readonly #reader: WireReader;

  constructor(unpacked: Buffer, batch: Buffer) {
    const isAppendTime = (batch.readInt16BE(ATTRIBUTES_AT) & IS_APPEND_TIME) !== 0;
    this.firstOffset = Number(batch.readBigInt64BE(0));
    this.count = batch.readInt32BE(COUNT_AT);
    this.leftCount = this.count;
    this.#firstTime = Number(batch.readBigInt64BE(FIRST_TIME_AT));
    this.#appendTime = isAppendTime ? Number(batch.readBigInt64BE(LAST_TIME_AT)) : undefined;
    this.#reader = new WireReader(unpacked);
  }

  /** What is of the span among the next ones. Past the end it throws a RangeError. */
  nextPiece(span: Span): readonly KafkaRecord[] {
    const piece: KafkaRecord[] = [];
    for (let left = Math.min(PIECE_RECORDS, this.leftCount); left > 0; left--) {
      const record = this.#next(span);
      if (record !== undefined) piece.push(record);
    }
    return piece;
  }

  /** Undefined when it is not of the span. Its length; attributes, time and offset, both relative; key, value, headers. */
  #next({ from, to }: Span): KafkaRecord | undefined {
    const reader = this.#reader;
    const length = reader.signed();
    const leftBytes = reader.leftBytes - length;
    reader.skip(1);
    const time = this.#firstTime + reader.signed();
    this.offset = this.firstOffset + reader.signed();
    if (this.offset < from || this.offset >= to) {
      reader.skip(reader.leftBytes - leftBytes);
      this.leftCount--;
      return undefined;
    }
    const key = nullable(reader);
    const value = nullable(reader);
    const headers = readHeaders(reader);
    this.leftCount--;
    return {
      key,
      value,
      offset: this.offset,
      timestamp: this.#appendTime ?? time,
      ...(headers === undefined ? {} : { headers }),
    };
  }
}

function nullable(reader: WireReader): Buffer | null {
  const length = reader.signed();
  return length < 0 ? null : reader.bytes(length);
}

function readHeaders(reader: WireReader): FetchedHeaders | undefined {
  const count = reader.signed();
  if (count <= 0) return undefined;
  const headers = new Map<string, HeaderValue[]>();
  for (let i = 0; i < count; i++) {
    const name = reader.bytes(reader.signed()).toString();
    const value = nullable(reader);
    const known = headers.get(name);
    if (known === undefined) headers.set(name, [value]);
    else known.push(value);
  }
  return Object.fromEntries(headers);
}
