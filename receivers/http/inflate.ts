/**
 * Packed bodies, unpacked within a limit that holds before memory is used.
 */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { codeOf, HoldfastError } from "../../src/errors.ts";

const gunzipAsync = promisify(gunzip);

/**
 * The body as its content-encoding says it was: none, identity, or gzip.
 *
 * @throws HTTP_UNSUPPORTED_MEDIA_TYPE for another encoding, HTTP_BAD_REQUEST for bytes that are not gzip,
 * MESSAGE_TOO_LONG for more than `bodyBytesMax` bytes unpacked
 */
export async function inflate(
  encoding: string | undefined,
  body: Uint8Array,
  { bodyBytesMax }: { readonly bodyBytesMax: number },
): Promise<Uint8Array> {
  const name = encoding?.trim().toLowerCase() ?? "identity";
  if (name === "identity") return body;
  if (name !== "gzip" && name !== "x-gzip")
    throw new HoldfastError(
      "HTTP_UNSUPPORTED_MEDIA_TYPE",
      `content-encoding is ${name}, allowed are gzip and none`,
      { fix: "content-encoding: gzip" },
    );
  try {
    return await gunzipAsync(body, { maxOutputLength: bodyBytesMax });
  } catch (cause) {
    if (codeOf(cause) === "ERR_BUFFER_TOO_LARGE")
      throw new HoldfastError(
        "MESSAGE_TOO_LONG",
        `body of ${body.length} bytes has more than ${bodyBytesMax} unpacked, which is the limit`,
        { cause, fix: "send fewer records at once" },
      );
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError(
      "HTTP_BAD_REQUEST",
      `the body of ${body.length} bytes is not gzip: ${reason}`,
      { cause },
    );
  }
}
