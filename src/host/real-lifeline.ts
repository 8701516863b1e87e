/**
 * The line to a parent that holds one: a descriptor whose other end only the parent has.
 */
import { Socket } from "node:net";
import type { Lifeline } from "./lifeline.ts";

/** Names the descriptor in the environment of a child. */
export const LIFELINE_VARIABLE = "HOLDFAST_LIFELINE";

const NONE: Lifeline = { onCut: () => () => undefined };

/**
 * The line that this process was given, if any. Takes it out of the environment: it is not for children of this
 * process, which have other descriptors under that number.
 */
export function takeLifeline(
  environment: Record<string, string | undefined> = process.env,
): Lifeline {
  const text = environment[LIFELINE_VARIABLE];
  delete environment[LIFELINE_VARIABLE];
  const socket = text === undefined ? undefined : socketOf(Number(text));
  return socket === undefined ? NONE : lineOf(socket);
}

function socketOf(fd: number): Socket | undefined {
  // The first three are the input and the outputs.
  if (!Number.isSafeInteger(fd) || fd < 3) return undefined;
  try {
    return new Socket({ fd, readable: true, writable: false });
  } catch {
    // Set by hand, or handed on by mistake: then nobody holds a line.
    return undefined;
  }
}

function lineOf(socket: Socket): Lifeline {
  let isCut = false;
  // However it breaks, the other end is gone. "close" follows.
  socket.on("error", () => undefined);
  socket.once("close", () => {
    isCut = true;
  });
  socket.resume();
  // A process that has nothing else to do may end.
  socket.unref();
  return {
    onCut(callback) {
      if (isCut) queueMicrotask(callback);
      else socket.once("close", callback);
      return () => void socket.off("close", callback);
    },
  };
}
