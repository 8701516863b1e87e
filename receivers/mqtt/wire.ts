/**
 * The stream that the client library talks through. The library reads only what is put there: the packets that are its
 * business. What it writes, and what we write beside it, goes to the socket in the order of the calls.
 */
import { Duplex } from "node:stream";

/** Bytes for the client library that it has not read; it reads at once, so more means that something is wrong. */
const UNREAD_BYTES_MAX = 1024 * 1024;

/** A stream over `socket`, whose readable side is fed by `push` and whose end is the socket's end. */
export function wireOver(socket: Duplex): Duplex {
  return new Duplex({
    readableHighWaterMark: UNREAD_BYTES_MAX,
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    writev(chunks, done) {
      const all = chunks.map(({ chunk }): Buffer => chunk);
      socket.write(all.length === 1 ? all[0] : Buffer.concat(all), done);
    },
    final: (done) => void socket.end(done),
    destroy(cause, done) {
      socket.destroy();
      done(cause);
    },
  });
}

/** Whether the library has stopped reading. */
export function isStuck(wire: Duplex): boolean {
  return wire.readableLength > UNREAD_BYTES_MAX;
}
