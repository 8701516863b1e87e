/**
 * The sink's end of its worker thread.
 */
import { Worker } from "node:worker_threads";
import { HoldfastError, toError } from "../errors.ts";
import type { Answers, Reply, Request } from "./sqlite-protocol.ts";

/** The worker's file, as it is called once it is compiled. */
const WORKER_URL: URL = new URL("./sqlite-worker.js", import.meta.url);

/** What is packed for the worker dies at once: more room for it would only be more memory. */
const YOUNG_MIB = 12;

interface Waiting {
  resolve(answer: Answers[keyof Answers]): void;
  reject(cause: Error): void;
}

/** Asks the worker; replies come in the order of the requests. */
export class SqliteClient {
  readonly #worker: Worker;
  readonly #sink: string;
  readonly #waiting: Waiting[] = [];
  readonly #ended: Promise<void>;
  #gone: Error | undefined;

  /**
   * @param died - called when the worker ends while nobody waits for it.
   * @param worker - another worker, for tests.
   */
  constructor(sink: string, died: (cause: Error) => void, worker: URL = WORKER_URL) {
    this.#sink = sink;
    this.#worker = new Worker(worker, {
      name: `holdfast-${sink}`,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    let cause: unknown;
    this.#worker.on("error", (error) => (cause = error));
    this.#ended = new Promise((resolve) => {
      this.#worker.on("exit", (exitCode) => {
        resolve();
        if (this.#gone !== undefined) return;
        const error = new HoldfastError(
          "SINK_FAILED",
          `${sink}: its worker thread ended with code ${exitCode}: ${cause === undefined ? "no error" : toError(cause).message}`,
          { cause },
        );
        const isIdle = this.#waiting.length === 0;
        this.#refuseAll(error);
        if (isIdle) died(error);
      });
    });
  }

  /**
   * Sends a request; `buffers` are handed over. Rejects with the worker's error, with SINK_FAILED when the worker
   * is gone, and with the signal's reason; an aborted request is carried out nevertheless.
   */
  async ask<K extends keyof Answers>(
    request: Extract<Request, { kind: K }>,
    signal: AbortSignal,
    buffers: readonly ArrayBuffer[] = [],
  ): Promise<Answers[K]> {
    signal.throwIfAborted();
    if (this.#gone !== undefined) throw this.#gone;
    return await new Promise<Answers[K]>((resolve, reject) => {
      const stop = (): void => reject(signal.reason);
      const done = (settle: () => void): void => {
        signal.removeEventListener("abort", stop);
        settle();
      };
      // First: a request that cannot be cloned throws here, and nothing waits for an answer to it.
      this.#worker.postMessage(request, [...buffers]);
      signal.addEventListener("abort", stop, { once: true });
      this.#waiting.push({
        // Decode boundary: the worker answers each kind of request with its kind of answer, in order.
        resolve: (answer) => done(() => resolve(answer as Answers[K])),
        reject: (cause) => done(() => reject(cause)),
      });
    });
  }

  /** Closes the database and ends the thread; when the signal aborts first, without waiting for the database. */
  async close(signal: AbortSignal): Promise<void> {
    if (this.#gone === undefined) {
      // A database that cannot be closed any more ends with its thread.
      await this.ask({ kind: "close" }, signal).catch(() => undefined);
      this.#refuseAll(new HoldfastError("SINK_FAILED", `${this.#sink}: closed`));
    }
    await this.#worker.terminate();
    await this.#ended;
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.shift();
    if ("answer" in reply) waiting?.resolve(reply.answer);
    else
      waiting?.reject(
        new HoldfastError(reply.failure.code, reply.failure.message, { fix: reply.failure.fix }),
      );
  }

  #refuseAll(cause: Error): void {
    this.#gone = cause;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(cause);
  }
}
