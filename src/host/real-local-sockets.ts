/**
 * Local sockets of the machine: `node:net` with paths.
 */
import { chmod, mkdtemp, readdir, rmdir, unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { codeOf } from "../errors.ts";
import type { LocalListener, LocalSockets } from "./local-sockets.ts";
import { RealConnection } from "./real-sockets.ts";
import type { Connection } from "./sockets.ts";

/** `sun_path` with the zero behind the path: 108 bytes on Linux, 104 on macOS. */
const PATH_BYTES_MAX: number = (process.platform === "darwin" ? 104 : 108) - 1;
const SOCKET_MODE = 0o600;
const SHORT_PREFIX = "holdfast-control-";

function listen(
  path: string,
  onConnection: (connection: Connection) => void,
  onError: (cause: Error) => void,
): Promise<LocalListener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const connection = new RealConnection(socket, path);
      onConnection(connection);
      socket.on("data", (chunk) => connection.received(chunk, 0));
    });
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      server.on("error", onError);
      // Bound before it is restricted: until then its directory, which only this user may enter, keeps others out.
      chmod(path, SOCKET_MODE).then(
        () => resolve(listenerOf(server)),
        (cause: unknown) => {
          server.close();
          reject(cause);
        },
      );
    });
  });
}

function listenerOf(server: Server): LocalListener {
  let isOpen = true;
  return {
    // Not the server's callback: that waits for its connections, which are to stay.
    close: async () => {
      if (isOpen) server.close();
      isOpen = false;
    },
  };
}

function connectTo(path: string, signal: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(signal.reason);
    const socket = connect({ path, allowHalfOpen: true });
    const connection = new RealConnection(socket, path);
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    const failed = (cause: Error): void => {
      signal.removeEventListener("abort", abort);
      reject(cause);
    };
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", failed);
    socket.once("connect", () => {
      signal.removeEventListener("abort", abort);
      socket.off("error", failed);
      // Bytes come in a later turn: by then whoever asked has set its listener.
      socket.on("data", (chunk) => connection.received(chunk, 0));
      resolve(connection);
    });
  });
}

async function removeShortDirectory(path: string): Promise<void> {
  if (!basename(path).startsWith(SHORT_PREFIX)) return;
  try {
    for (const name of await readdir(path))
      if (name.endsWith(".sock")) await unlink(join(path, name));
    // Fails where something else is in it: then it was not made for this.
    await rmdir(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** The machine's local sockets. */
export const realLocalSockets: LocalSockets = Object.freeze({
  pathBytesMax: PATH_BYTES_MAX,
  listen,
  connect: connectTo,
  makeShortDirectory: () => mkdtemp(join(tmpdir(), SHORT_PREFIX)),
  removeShortDirectory,
});
