/**
 * Receivers: what brings records in. A receiver is a value until an ingest starts it; each start is an
 * incarnation with its own epoch, supervised, and fenced when the next one begins.
 */
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import type { HttpServers } from "../host/http.ts";
import type { Random } from "../host/random.ts";
import type { Connection, ConnectOptions, Sockets } from "../host/sockets.ts";
import type { NamesFiles } from "./file-look.ts";
import type { Logger } from "./logger.ts";
import type { RecordBlock, RecordInput, Stored } from "./record.ts";
import type { Strategy } from "./unit.ts";

/** Where a block belongs and where its channel resumes after it. */
export interface StoreAt {
  readonly channel?: string;
  readonly position?: Uint8Array;
  /**
   * Stands for these records whenever they are sent again: what is stored under it already is not stored twice, and
   * `store` resolves with where it is. Known are the newest 4,096 keys of the log and of 24 hours; 1 .. 255 characters.
   */
  readonly idempotencyKey?: string;
}

/** What a receiver gets when it is opened. Its functions may be taken apart (`const { store } = context`). */
export interface ReceiverContext<Options> {
  readonly name: string;
  readonly epoch: number;
  readonly options: Options;
  /**
   * Aborts when this incarnation is over: read nothing more. `store` is refused from then on; only a receiver whose
   * upstream does not send again may store what it has read until its `close` has ended or was forced.
   */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly files: Files;
  readonly sockets: Sockets;
  readonly http: HttpServers;
  /**
   * A connection of the host: the same receiver runs on the simulated network. An endpoint that is down is tried at its
   * next probe, over all incarnations: it waits up to a minute for that.
   *
   * @throws CONNECTION_FAILED, CONNECTION_UNTRUSTED, CONNECTION_STALLED
   */
  readonly connect: (options: ConnectOptions) => Promise<Connection>;
  /**
   * The same for a client library that opens its own socket: `connect` runs when it is time to, at once while the
   * endpoint (`host:port`) is up. What it rejects with passes through.
   *
   * @throws CONNECTION_STALLED
   */
  readonly dial: <C>(address: string, connect: () => Promise<C>) => Promise<C>;
  /**
   * One or many records as one block; resolves when they are on disk, in call order. Rejects with BUSY beyond
   * `inflightBytesMax`, LOG_FULL after `storeTimeoutMs` without room, BLOCK_TOO_LARGE, STORE_FENCED. What was
   * rejected is the receiver's still: it stores it again, leaves it to an upstream that sends it again, or names it
   * with `giveUp` or `dropped`. After LOG_FAILED it may be in the log all the same. With an idempotency key also
   * IDEMPOTENCY_MISMATCH, for other records under the same key.
   */
  readonly store: (records: RecordInput | readonly RecordInput[], at?: StoreAt) => Promise<Stored>;
  /** The fast way: no object per record. The block's arrays are copied before this returns. */
  readonly storeBlock: (block: RecordBlock) => Promise<Stored>;
  /**
   * Moves a channel's position without a record: what the upstream may forget, an offset that was skipped. Resolves when
   * it is on disk, in order with `store`; rejects as that does.
   */
  readonly storePosition: (channel: string, position: Uint8Array) => Promise<void>;
  /** Sets bytes aside that can be no record, with the reason; resolves when that is on disk. */
  readonly setAside: (bytes: Uint8Array, cause: Error) => Promise<void>;
  /**
   * Records that will not be stored and that nobody sends again: each is set aside, or counted as dropped with the
   * code of `cause` where that fails too. The block's arrays are copied before this returns. Never throws.
   */
  readonly giveUp: (block: RecordBlock, cause: Error) => void;
  /** `full` while receivers are paused: answer 503, drop and count. */
  readonly pressure: "ok" | "full";
  /** Position of the last durable block of a channel. */
  readonly resumePosition: (channel: string) => Uint8Array | undefined;
  /**
   * A throw or rejection inside fails this incarnation, never the process. When the first argument is bytes the
   * failure is about them, as in `fail`: a callback that was given a message or a chunk loses nothing but that.
   */
  readonly guard: <A extends readonly unknown[]>(
    callback: (...args: A) => void | Promise<void>,
  ) => (...args: A) => void;
  /** Progress that is not a stored record: a protocol round trip, an accepted connection. */
  readonly alive: () => void;
  /**
   * Fails this incarnation; ignored once it is over. The supervisor decides what happens: with `resume` the receiver
   * keeps its state and goes on, and has to end by itself what cannot go on, as a stream whose place is lost.
   * `bytes` are what it failed on. They are set aside as a dead letter of stage `receive` when it goes on, and always
   * where the upstream does not send again.
   */
  readonly fail: (cause: unknown, bytes?: Uint8Array) => void;
  /** Records that are lost (UDP and QoS 0 by design), for the counter. `reason` is a label: an error's code, or one of a few words. */
  readonly dropped: (recordCount: number, reason: string) => void;
  /** Connections open now, for the gauge. */
  readonly connections: (count: number) => void;
}

/** A running incarnation. */
export interface ReceiverSession {
  /** Where it listens, once bound: for start lines and `ingest.address`. */
  readonly address?: { readonly host: string; readonly port: number };
  /** A supervised loop: rejects = failed, resolves = end of input. Has to end when the session closes, which waits for it. */
  run?(): Promise<void>;
  pause?(): void;
  /** There is room again. Called while it closes, too: what is held may be stored then, and nothing more is read. */
  resume?(): void;
  /**
   * Stops taking input and settles what it accepted. Forced when the signal aborts: what could not be stored by then
   * is lost, and to be named where nobody sends it again. May be called twice.
   */
  close(signal: AbortSignal): Promise<void> | void;
}

/** Options that every receiver has. */
export interface ReceiverOptions {
  readonly supervision?: Strategy;
  /** Records per second at most. @defaultValue no limit */
  readonly ingestRateMax?: number;
  /** Bytes accepted and not yet durable: from 3/4 of it on the receiver is paused, beyond it `store` rejects with BUSY. @defaultValue 8 MiB */
  readonly inflightBytesMax?: number;
  /** How long `store` waits for room in a full log. @defaultValue 30,000 */
  readonly storeTimeoutMs?: number;
}

/** A receiver as a value. */
export interface Receiver<Name extends string = string> extends NamesFiles {
  readonly kind: "receiver";
  readonly name: Name;
  readonly type: string;
  /**
   * Whether its upstream sends again what was not acknowledged. Decides what a restart does with records not yet
   * accepted: they are dropped where it does, and stored first, or named, where it does not.
   */
  readonly redelivers: boolean;
  /**
   * Whether it connects to what may be away for weeks, as a broker: it is tried for ever then, where nobody has chosen a
   * strategy. @defaultValue false
   */
  readonly dials?: boolean;
  /** An incarnation without progress for longer fails with UNIT_STALLED, milliseconds. @defaultValue it may be silent */
  readonly aliveWithinMs?: number;
  /** Its own options, checked; given to each incarnation. */
  readonly options: unknown;
  readonly common: Required<Pick<ReceiverOptions, "inflightBytesMax" | "storeTimeoutMs">> &
    Pick<ReceiverOptions, "supervision" | "ingestRateMax">;
  open(context: ReceiverContext<unknown>): Promise<ReceiverSession>;
}
