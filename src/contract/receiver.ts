/**
 * Receivers: what brings records in. A receiver is a value until an ingest starts it; each start is an
 * incarnation with its own epoch, supervised, and fenced when the next one begins.
 */
import type { Clock } from "../host/clock.ts";
import type { HttpServers } from "../host/http.ts";
import type { Random } from "../host/random.ts";
import type { Connection, Endpoint, Sockets } from "../host/sockets.ts";
import type { Logger } from "./logger.ts";
import type { RecordBlock, RecordInput, Stored } from "./record.ts";
import type { Strategy } from "./unit.ts";

/** Where a block belongs and where its channel resumes after it. */
export interface StoreAt {
  readonly channel?: string;
  readonly position?: Uint8Array;
}

/** What a receiver gets when it is opened. Its functions may be taken apart (`const { store } = context`). */
export interface ReceiverContext<Options> {
  readonly name: string;
  readonly epoch: number;
  readonly options: Options;
  /** Aborts when this incarnation is over: stop using the context. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly sockets: Sockets;
  readonly http: HttpServers;
  /** A connection of the host: the same receiver runs on the simulated network. */
  readonly connect: (endpoint: Endpoint) => Promise<Connection>;
  /**
   * One or many records as one block; resolves when they are on disk, in call order. Rejects with BUSY beyond
   * `inflightBytesMax`, LOG_FULL after `storeTimeoutMs` without room, BLOCK_TOO_LARGE, STORE_FENCED.
   */
  readonly store: (records: RecordInput | readonly RecordInput[], at?: StoreAt) => Promise<Stored>;
  /** The fast way: no object per record. The block's arrays are copied before this returns. */
  readonly storeBlock: (block: RecordBlock) => Promise<Stored>;
  /** Sets bytes aside that can be no record, with the reason; resolves when that is on disk. */
  readonly setAside: (bytes: Uint8Array, cause: Error) => Promise<void>;
  /** `full` while receivers are paused: answer 503, drop and count. */
  readonly pressure: "ok" | "full";
  /** Position of the last durable block of a channel. */
  readonly resumePosition: (channel: string) => Uint8Array | undefined;
  /** A throw or rejection inside fails this incarnation, never the process. */
  readonly guard: <A extends readonly unknown[]>(
    callback: (...args: A) => void | Promise<void>,
  ) => (...args: A) => void;
  /** Progress that is not a stored record: a protocol round trip, an accepted connection. */
  readonly alive: () => void;
  /** Fails this incarnation; ignored once it is fenced. The supervisor decides what happens. */
  readonly fail: (cause: unknown) => void;
  /** Records that were lost by design (UDP, QoS 0), for the counter. */
  readonly dropped: (recordCount: number, reason: string) => void;
  /** Connections open now, for the gauge. */
  readonly connections: (count: number) => void;
}

/** A running incarnation. */
export interface ReceiverSession {
  /** Where it listens, once bound: for start lines and `ingest.address`. */
  readonly address?: { readonly host: string; readonly port: number };
  /** A supervised loop: rejects = failed, resolves = end of input. */
  run?(): Promise<void>;
  pause?(): void;
  resume?(): void;
  /** Stops taking input and settles what it accepted; forced when the signal aborts. May be called twice. */
  close(signal: AbortSignal): Promise<void> | void;
}

/** Options that every receiver has. */
export interface ReceiverOptions {
  readonly supervision?: Strategy;
  /** Records per second at most. @defaultValue no limit */
  readonly ingestRateMax?: number;
  /** Bytes accepted and not yet durable; beyond it `store` rejects with BUSY. @defaultValue 8 MiB */
  readonly inflightBytesMax?: number;
  /** How long `store` waits for room in a full log. @defaultValue 30,000 */
  readonly storeTimeoutMs?: number;
}

/** A receiver as a value. */
export interface Receiver<Name extends string = string> {
  readonly kind: "receiver";
  readonly name: Name;
  readonly type: string;
  /** Whether its upstream sends again what was not acknowledged: decides what a restart does with records not yet accepted. */
  readonly redelivers: boolean;
  /** Its own options, checked; given to each incarnation. */
  readonly options: unknown;
  readonly common: Required<Pick<ReceiverOptions, "inflightBytesMax" | "storeTimeoutMs">> &
    Pick<ReceiverOptions, "supervision" | "ingestRateMax">;
  open(context: ReceiverContext<unknown>): Promise<ReceiverSession>;
}
