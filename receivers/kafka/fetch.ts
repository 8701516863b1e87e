/**
 * Reads one partition from one offset on. kafkajs fetches by the name of a topic, which another topic may bear by then, so this
 * is a request of our own, in the first version that goes by ids:
 *
 *     Fetch v13:  replica; longest wait; least and most bytes; isolation; session; topics, each an id and partitions:
 *                 number, epoch, offset, epoch, begin, most bytes; what to forget; rack
 */
import { batchesOf, type RecordBatch } from "./record-batches.ts";
import {
  type Api,
  ask,
  int32,
  int64,
  lengthOf,
  NO_TAGS,
  type RequestSender,
  type WireReader,
} from "./wire.ts";

/** Kafka 3.1 and later. */
export const FETCH: Api = { apiKey: 1, apiVersion: 13, apiName: "Fetch" };

/**
 * Longest that a broker waits for records. Whoever reads a range knows that there are some, and gets them at once; only those
 * that it has to bring from a remote tier take longer, and it answers without any when the wait is over.
 */
export const FETCH_WAIT_MS = 1_000;

/** What to fetch. */
export interface FetchRequest {
  /** For messages: the source and the partition. */
  readonly label: string;
  /** 32 hexadecimal digits. */
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  /** As it is on the broker; one batch is given whatever its length is. */
  readonly bytesMax: number;
  readonly readUncommitted: boolean;
}

/** A transaction of which nothing counts. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/** What a broker has from an offset on. */
export interface Fetched {
  /** Offset of the first record that the broker still has. */
  readonly begin: number;
  /** Offset behind the last one that may be read. */
  readonly end: number;
  readonly batches: readonly RecordBatch[];
  /** Those that reach into the batches. Empty when all records are wanted. */
  readonly aborted: readonly AbortedTransaction[];
}

/** An answer; `errorCode` is the protocol's, 0 for none. */
export interface FetchAnswer extends Fetched {
  readonly errorCode: number;
}

/** Rejects as kafkajs's own requests do. */
export async function askFetch(sender: RequestSender, request: FetchRequest): Promise<FetchAnswer> {
  return await ask(sender, FETCH, encodeRequest(request), (reader) =>
    decodeResponse(reader, request),
  );
}

const NOTHING = -1;
const CONSUMER = int32(-1);
const NO_SESSION = Buffer.concat([int32(0), int32(-1)]);
const NO_EPOCH = int32(-1);

function encodeRequest(request: FetchRequest): Buffer {
  const { topicId, partition, offset, bytesMax, readUncommitted } = request;
  return Buffer.concat([
    NO_TAGS,
    CONSUMER,
    int32(FETCH_WAIT_MS),
    int32(1),
    int32(bytesMax),
    Buffer.of(readUncommitted ? 0 : 1),
    NO_SESSION,
    lengthOf(1),
    Buffer.from(topicId, "hex"),
    lengthOf(1),
    int32(partition),
    NO_EPOCH,
    int64(offset),
    NO_EPOCH,
    int64(NOTHING),
    int32(bytesMax),
    NO_TAGS,
    NO_TAGS,
    lengthOf(0),
    lengthOf(0),
    NO_TAGS,
  ]);
}

/**
 * What comes behind the header: a pause in ms, an error, the session; topics. A broker that limits its clients may answer
 * without any.
 */
function decodeResponse(reader: WireReader, request: FetchRequest): FetchAnswer {
  reader.skip(4);
  let answer: FetchAnswer = {
    errorCode: reader.int16(),
    begin: NOTHING,
    end: NOTHING,
    batches: [],
    aborted: [],
  };
  reader.skip(4);
  reader.each(() => {
    reader.skip(16);
    reader.each(() => {
      answer = readPartition(reader, request);
    });
    reader.tags();
  });
  return answer;
}

/** Number, error, ends with and without open transactions, begin, aborted transactions, another replica, batches. */
function readPartition(reader: WireReader, { label, readUncommitted }: FetchRequest): FetchAnswer {
  reader.skip(4);
  const errorCode = reader.int16();
  const highWatermark = reader.int64();
  const lastStable = reader.int64();
  const begin = reader.int64();
  const aborted: AbortedTransaction[] = [];
  reader.each(() => {
    aborted.push({ producerId: reader.bytes(8).readBigInt64BE(), firstOffset: reader.int64() });
    reader.tags();
  });
  reader.skip(4);
  const batches = batchesOf(reader.compactBytes(), label);
  reader.tags();
  return {
    errorCode,
    begin,
    end: readUncommitted ? highWatermark : lastStable,
    batches,
    aborted: readUncommitted ? [] : aborted,
  };
}
