/**
 * How much a websocket keeps of a message whose end has not come: its library does not say, so what the socket gives is counted.
 */
import type { Duplex } from "node:stream";

/** A websocket, as far as it is heard here. */
export interface FrameSource {
  on(event: "message", listener: () => void): unknown;
  on(event: "ping" | "pong", listener: (payload: Uint8Array) => void): unknown;
}

/** A client's ping or pong beside its payload: two bytes, and the mask. */
const CONTROL_FRAME_BYTES = 6;

/**
 * Calls `changed` behind every chunk with the bytes that belong to no finished message. A beginning that came in one chunk with
 * the end of the message before it is not counted; compressed messages count as they came.
 */
export function countUnfinished(
  socket: FrameSource,
  stream: Duplex,
  changed: (byteCount: number) => void,
): void {
  let byteCount = 0;
  const control = (payload: Uint8Array): void => {
    byteCount = Math.max(0, byteCount - payload.length - CONTROL_FRAME_BYTES);
  };
  // Before the websocket reads the chunk: what it finds in it comes off again.
  stream.prependListener("data", (chunk: Uint8Array) => {
    byteCount += chunk.length;
  });
  socket.on("message", () => {
    byteCount = 0;
  });
  socket.on("ping", control);
  socket.on("pong", control);
  stream.on("data", () => changed(byteCount));
}
