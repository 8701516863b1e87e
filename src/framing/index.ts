/**
 * (1) Bytes to messages: the framings that receivers share.
 */
export { delimited, type DelimitedOptions, lines, type LinesOptions } from "./delimited.ts";
export {
  type BlockSplitter,
  type Framing,
  MESSAGE_BYTES_DEFAULT,
  MESSAGE_BYTES_LIMIT,
  type Refusal,
  type Split,
  type Splitter,
} from "./framing.ts";
export { lengthPrefixed, type LengthPrefixedOptions } from "./length-prefixed.ts";
export { Workspace } from "./workspace.ts";
