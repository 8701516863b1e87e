/**
 * Packed bodies, unpacked within limits that hold before memory is used.
 */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { codeOf, HoldfastError } from "../../src/errors.ts";

/**
 * Bodies that unpack at the same time; the others wait, packed. A few KiB can stand for the longest body, and all
 * connections together could send as many as there are of them.
 */
export const INFLATING_MAX = 4;

/** gzip to bytes; rejects with ERR_BUFFER_TOO_LARGE beyond the limit. */
export type Gunzip = (
  body: Uint8Array,
  limits: { readonly maxOutputLength: number },
) => Promise<Uint8Array>;

/** Unpacks the bodies of one receiver. */
export class Inflater {
  readonly #bodyBytesMax: number;
  readonly #gunzip: Gunzip;
  #runningCount = 0;
  /** One for each request at most, and those have a limit. */
  readonly #waiting: (() => void)[] = [];

  constructor(
    { bodyBytesMax }: { readonly bodyBytesMax: number },
    unpack: Gunzip = promisify(gunzip),
  ) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#gunzip = unpack;
  }

  /**
   * The body as its content-encoding says it was: none, identity, or gzip.
   *
   * @throws HTTP_UNSUPPORTED_MEDIA_TYPE for another encoding, HTTP_BAD_REQUEST for bytes that are not gzip,
   * MESSAGE_TOO_LONG for more than `bodyBytesMax` bytes unpacked
   */
  async inflate(encoding: string | undefined, body: Uint8Array): Promise<Uint8Array> {
    const name = encoding?.trim().toLowerCase() ?? "identity";
    if (name === "identity") return body;
    if (name !== "gzip" && name !== "x-gzip")
      throw new HoldfastError(
        "HTTP_UNSUPPORTED_MEDIA_TYPE",
        `content-encoding is ${name}, allowed are gzip and none`,
        { fix: "content-encoding: gzip" },
      );
    if (this.#runningCount < INFLATING_MAX) this.#runningCount++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await this.#gunzip(body, { maxOutputLength: this.#bodyBytesMax });
    } catch (cause) {
      throw this.#refusal(body, cause);
    } finally {
      // Whoever comes next takes this one's turn.
      const next = this.#waiting.shift();
      if (next === undefined) this.#runningCount--;
      else next();
    }
  }

  #refusal(body: Uint8Array, cause: unknown): HoldfastError {
    if (codeOf(cause) === "ERR_BUFFER_TOO_LARGE")
      return new HoldfastError(
        "MESSAGE_TOO_LONG",
        `body of ${body.length} bytes has more than ${this.#bodyBytesMax} unpacked, which is the limit`,
        { cause, fix: "send fewer records at once" },
      );
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new HoldfastError(
      "HTTP_BAD_REQUEST",
      `the body of ${body.length} bytes is not gzip: ${reason}`,
      { cause },
    );
  }
}
