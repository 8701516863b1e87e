/**
 * An HTTP sink while it is open: sends the rows of a batch part by part, and finds the rows that a server refuses.
 *
 * Nothing here tries again: a part that did not get through ends the write with `back-off`, and the engine writes the
 * batch again. Parts whose answer is known are not sent twice by one session; what another one sent is known to the
 * server by its key.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Breaker } from "../contract/breaker.ts";
import type { Pool } from "../contract/pool.ts";
import type { SinkBatch, SinkContext, SinkSession, WriteResult } from "../contract/sink.ts";
import { HoldfastError, isRetried } from "../errors.ts";
import type { HttpAnswer } from "../host/http-client.ts";
import { createBreaker } from "../pool/breaker.ts";
import { judgeAnswer, type Verdict } from "./http-answer.ts";
import {
  aloneBytes,
  bodyOf,
  contentTypeOf,
  halvesOf,
  type HttpFormat,
  PartFilling,
  type HttpPart,
  rowOf,
  type UnfitRow,
} from "./http-parts.ts";
import { readClientTls, type TlsConnectOptions } from "../tls-options.ts";
import { RefusedShare } from "./http-refusals.ts";
import { httpConnector, type HttpLine, type HttpTarget } from "./http-target.ts";

/** Options of the sink with nothing left open. */
export interface ResolvedHttpOptions {
  readonly targets: readonly HttpTarget[];
  readonly method: "POST" | "PUT";
  readonly format: HttpFormat;
  /** With the token; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Texts that nothing may show. */
  readonly secrets: readonly string[];
  readonly idempotencyKey: boolean;
  readonly requestBytesMax: number;
  readonly requestRecordsMax: number;
  readonly inFlightMax: number;
  /** Bodies of this length or more are packed; undefined: none. */
  readonly gzipBytesMin: number | undefined;
  readonly tls: TlsConnectOptions;
  readonly pool: HttpPoolLimits;
  readonly breaker: HttpBreakerLimits;
}

/** The pool's options that the sink passes on. */
export interface HttpPoolLimits {
  readonly connectionsMax: number;
  readonly progressDeadlineMs: number;
  readonly connectDeadlineMs: number;
  readonly acquireDeadlineMs: number;
  readonly idleTimeoutMs: number;
  readonly lifetimeMs: number;
}

/** The breaker's options that the sink passes on. */
export interface HttpBreakerLimits {
  readonly windowMs: number;
  readonly callsMin: number;
  readonly failureRatio: number;
}

/** Bytes of an answer that are read: enough for what a server says about an error. */
const ANSWER_BYTES_MAX = 16_384;

/** Waits before a batch is tried again where the server has no wish: doubled from the first to the last, half random. */
const BACK_OFF_MS_MIN = 250;
const BACK_OFF_MS_MAX = 5_000;

/** Hexadecimal digits of a body's hash in its key. */
const HASH_CHARACTERS = 16;

const pack = promisify(gzip);

/** The server may take the request later; `delayMs` is its wish. */
class TryLater extends Error {
  override readonly name = "TryLater";
  override readonly cause: HoldfastError;
  readonly delayMs: number;

  constructor(cause: HoldfastError, delayMs = 0) {
    super(cause.message);
    this.cause = cause;
    this.delayMs = delayMs;
  }
}

/** A batch on its way. */
interface Writing {
  readonly batch: SinkBatch<unknown>;
  readonly signal: AbortSignal;
  readonly unfit: UnfitRow[];
  /** Oldest first. */
  readonly inFlight: Promise<void>[];
  /** It has failed: what is in flight ends, nothing more is sent. */
  isOver: boolean;
}

/** What a server said about a part for good. */
type Settled = Extract<Verdict, { kind: "written" | "refused" }>;

export class HttpSession implements SinkSession<unknown> {
  readonly guarantee: "idempotent" | "at-least-once";
  readonly by: string;
  readonly #context: SinkContext;
  readonly #options: ResolvedHttpOptions;
  readonly #pool: Pool<HttpLine>;
  readonly #breaker: Breaker;
  /** Answers to the parts of one batch by their keys, as many as it has requests. */
  readonly #settled = new Map<string, Settled>();
  #settledBatchId = 0;
  /** Attempts since a server last took or refused rows. */
  #failures = 0;
  readonly #share: RefusedShare;

  private constructor(context: SinkContext, options: ResolvedHttpOptions) {
    const { name, clock, random, httpClient, files } = context;
    const { targets, tls, idempotencyKey } = options;
    this.#context = context;
    this.#options = options;
    this.#share = new RefusedShare(name);
    this.guarantee = idempotencyKey ? "idempotent" : "at-least-once";
    this.by = idempotencyKey ? "key" : "no key";
    this.#pool = context.pool({
      ...options.pool,
      name,
      connector: httpConnector({ sink: name, client: httpClient, files, targets, tls }),
      addresses: targets.map(({ address }) => address),
      // A lease is one request, which has a deadline.
      leakAfterMs: Infinity,
    });
    this.#breaker = createBreaker({
      ...options.breaker,
      name,
      clock,
      random,
      isFailure: (error) =>
        error instanceof TryLater || (error instanceof HoldfastError && isRetried(error)),
    });
  }

  /**
   * Looks at the TLS files; connects with the first batch.
   *
   * @throws CONFIG_VALUE
   */
  static async open(context: SinkContext, options: ResolvedHttpOptions): Promise<HttpSession> {
    await HttpSession.checkFiles(context, options);
    return new HttpSession(context, options);
  }

  /** Looks at the TLS files. @throws CONFIG_VALUE */
  static async checkFiles(
    { name, files }: Pick<SinkContext, "name" | "files">,
    { targets, tls }: ResolvedHttpOptions,
  ): Promise<void> {
    if (targets.some(({ isSecure }) => isSecure)) await readClientTls(name, files, tls);
  }

  async write(batch: SinkBatch<unknown>, signal: AbortSignal): Promise<WriteResult> {
    const writing: Writing = { batch, signal, unfit: [], inFlight: [], isOver: false };
    if (batch.batchId !== this.#settledBatchId) this.#settled.clear();
    this.#settledBatchId = batch.batchId;
    try {
      await this.#sendAll(writing);
      // Last, once and in order: the same rows, however often the batch is written.
      const rejected = writing.unfit
        .toSorted((a, b) => a.ordinal - b.ordinal)
        .map(({ record, cause }) => ({ ...record, cause }));
      if (rejected.length > 0) await this.#context.reject(rejected);
      signal.throwIfAborted();
      return { kind: "written" };
    } catch (thrown) {
      signal.throwIfAborted();
      if (!(thrown instanceof TryLater)) throw thrown;
      return { kind: "back-off", delayMs: this.#delayMs(thrown), cause: thrown.cause };
    } finally {
      writing.isOver = true;
      // No request outlives its write. Each has a deadline.
      await Promise.allSettled(writing.inFlight);
    }
  }

  async close(signal: AbortSignal): Promise<void> {
    this.#breaker.close();
    await this.#pool.close(signal.aborted ? 0 : undefined);
  }

  // Parts

  async #sendAll(writing: Writing): Promise<void> {
    const { format, requestBytesMax } = this.#options;
    const filling = new PartFilling(this.#options, format);
    let ordinal = 0;
    for await (const chunk of writing.batch.chunks) {
      writing.signal.throwIfAborted();
      for (let index = 0; index < chunk.count; index++) {
        const row = rowOf(chunk, index, { ordinal: ordinal++, format });
        if ("cause" in row) writing.unfit.push(row);
        else if (aloneBytes(row, format) > requestBytesMax)
          writing.unfit.push({ ...row, cause: tooLong(aloneBytes(row, format), requestBytesMax) });
        else await this.#send(filling.add(row), writing);
      }
    }
    await this.#send(filling.end(), writing);
    for (const sent of writing.inFlight) await sent;
  }

  /** Sends a part; resolves when another one may be sent. */
  async #send(part: HttpPart | undefined, writing: Writing): Promise<void> {
    if (part === undefined) return;
    const sent = this.#deliver(part, writing);
    // Its failure is met when it is waited for; until then it is not unhandled.
    sent.catch(() => undefined);
    writing.inFlight.push(sent);
    if (writing.inFlight.length < this.#options.inFlightMax) return;
    await writing.inFlight.shift();
  }

  /** Brings the rows of a part to the server, but those that it refuses when they come alone. */
  async #deliver(part: HttpPart, writing: Writing): Promise<void> {
    if (writing.isOver) return;
    const { rows } = part;
    const settled = await this.#ask(part, writing);
    const [first] = rows;
    if (settled.kind === "written" || first === undefined) return;
    if (rows.length === 1) return void writing.unfit.push({ ...first, cause: settled.cause });
    // Not deeper than the rows of a part can be halved.
    for (const half of halvesOf(part)) await this.#deliver(half, writing);
  }

  /** The server's word about a part, from memory where it has been said. */
  async #ask({ path, rows }: HttpPart, { batch, signal }: Writing): Promise<Settled> {
    const body = bodyOf(rows, this.#options.format);
    const key = keyOf(batch, path, body);
    const known = this.#settled.get(key);
    if (known !== undefined) return known;
    const settled = await this.#breaker
      .run(() => this.#request(body, key, signal))
      .catch((thrown: unknown) => {
        throw failureOf(thrown);
      });
    this.#failures = 0;
    this.#settled.set(key, settled);
    if (settled.kind === "written") this.#share.taken(rows.length);
    else if (rows.length === 1) this.#share.refused(settled.cause);
    return settled;
  }

  /** One request. Rejects unless the server settles it. */
  async #request(body: Uint8Array, key: string, signal: AbortSignal): Promise<Settled> {
    const { method, secrets, gzipBytesMin = Infinity } = this.#options;
    const isPacked = body.length >= gzipBytesMin;
    const sent = isPacked ? await pack(body) : body;
    const headers = this.#headers(key, isPacked);
    const verdict = await this.#pool.with(
      async ({ connection, target }, lease) => {
        const { path, authority } = target;
        const asked = { method, path, headers: { ...headers, host: authority } };
        const answer: HttpAnswer = await connection.send(
          { ...asked, body: sent, answerBytesMax: ANSWER_BYTES_MAX },
          signal,
        );
        // Given back with this outstanding, the connection is not lent again.
        if (!answer.isReusable) lease.pending();
        const title = `${this.#context.name}: ${method} ${target.shown}`;
        const wallMs = this.#context.clock.wallMs();
        return judgeAnswer(answer, { title, wallMs, secrets });
      },
      { signal },
    );
    if (verdict.kind === "back-off") throw new TryLater(verdict.cause, verdict.delayMs);
    if (verdict.kind === "failed") throw verdict.cause;
    return verdict;
  }

  #headers(key: string, isPacked: boolean): Readonly<Record<string, string>> {
    const { headers, idempotencyKey, format } = this.#options;
    return {
      "content-type": contentTypeOf(format),
      ...headers,
      ...(isPacked ? { "content-encoding": "gzip" } : {}),
      ...(idempotencyKey ? { "idempotency-key": key } : {}),
    };
  }

  /** The server's wish, or what the number of failures asks for; not before the breaker lets anything through. */
  #delayMs({ delayMs }: TryLater): number {
    const full = Math.min(BACK_OFF_MS_MIN * 2 ** this.#failures++, BACK_OFF_MS_MAX);
    const ownMs = full / 2 + (full / 2) * this.#context.random.next();
    return Math.max(delayMs === 0 ? ownMs : delayMs, this.#breaker.state().triesInMs ?? 0);
  }
}

/**
 * The same rows at the same place give the same key, whatever process sends them. The hash tells apart what a changed
 * configuration cuts differently: a server must not take other rows for those that it has.
 */
function keyOf(
  { writerId, sink, batchId }: SinkBatch<unknown>,
  path: string,
  body: Uint8Array,
): string {
  const hash = createHash("sha256").update(body).digest("hex").slice(0, HASH_CHARACTERS);
  return `${writerId}/${sink}/${batchId}/${path}-${hash}`;
}

function tooLong(bytes: number, requestBytesMax: number): HoldfastError {
  return new HoldfastError(
    "ROW_REFUSED",
    `the row makes a request of ${bytes} bytes, requestBytesMax is ${requestBytesMax}`,
  );
}

/** What may pass is tried later; a pool without usable servers fails with what the last one said. */
function failureOf(thrown: unknown): unknown {
  if (!(thrown instanceof HoldfastError)) return thrown;
  if (isRetried(thrown)) return new TryLater(thrown);
  return thrown.code === "POOL_PARKED" && thrown.cause instanceof HoldfastError
    ? new HoldfastError(thrown.cause.code, thrown.message, { cause: thrown, fix: thrown.cause.fix })
    : thrown;
}
