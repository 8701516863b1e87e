/**
 * The writer as a thread of its own, for `wal-choices`: it sums and writes what it is sent.
 */
import { parentPort, workerData } from "node:worker_threads";
import { crc32 } from "node:zlib";
import { RecycledFile } from "./recycled-file.ts";

/** An entry to be written; its memory moves to the worker. */
export interface WriteRequest {
  readonly entry: Uint8Array;
}

/** The entry is durable; its memory comes back. */
export interface WriteReply {
  readonly entry: Uint8Array;
}

// Decode boundary: `choices.ts` gives these.
const { fileBytes, path, salt } = workerData as {
  readonly path: string;
  readonly fileBytes: number;
  readonly salt: number;
};
const file = new RecycledFile(path, fileBytes, "O_DSYNC");
parentPort?.on("message", ({ entry }: WriteRequest) => {
  crc32(entry, salt);
  file.writeSync(entry);
  const reply: WriteReply = { entry };
  parentPort?.postMessage(reply, [entry.buffer as ArrayBuffer]);
});
