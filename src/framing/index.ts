/**
 * (1) Bytes to messages: the framings that receivers share.
 */
export { delimited, lines } from "./delimited.ts";
export {
  type BlockSplitter,
  type Framing,
  MESSAGE_BYTES_DEFAULT,
  MESSAGE_BYTES_LIMIT,
  type Refusal,
  type Split,
} from "./framing.ts";
export { lengthPrefixed } from "./length-prefixed.ts";
export { octetCounting } from "./octet-counting.ts";
export { Workspace } from "./workspace.ts";
