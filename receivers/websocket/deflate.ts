/**
 * Compression (permessage-deflate) as ws takes it.
 */
import type { PerMessageDeflateOptions } from "ws";
import type { StreamOptions } from "./options.ts";

/** Messages that inflate at the same time; the others wait. */
const INFLATING_MAX = 4;

/**
 * No context is kept between messages, so that memory per connection does not grow. The limit of a message holds for what
 * comes out: ws stops inflating beyond it. Counts are too short to be compressed.
 */
export function deflateOptions({
  compression,
}: Pick<StreamOptions, "compression">): false | PerMessageDeflateOptions {
  return (
    compression && {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      concurrencyLimit: INFLATING_MAX,
    }
  );
}
