/**
 * Stream sockets that have a path and no port, for programs of one user on one machine: interface here, the real
 * ones in `real-local-sockets.ts`.
 */
import type { Connection } from "./sockets.ts";

/** A bound socket. */
export interface LocalListener {
  /** Accepts no more and removes the path; open connections stay. May be called twice. */
  close(): Promise<void>;
}

/** Local sockets of the host. Errors are Node's. */
export interface LocalSockets {
  /** Longest path of a socket on this system, in bytes. */
  readonly pathBytesMax: number;
  /**
   * Binds a path that nothing is at; only this user may connect (mode 0600). Rejects with EADDRINUSE where
   * something is, also what a killed process left behind.
   */
  listen(
    path: string,
    onConnection: (connection: Connection) => void,
    onError: (cause: Error) => void,
  ): Promise<LocalListener>;
  /** Rejects with ENOENT or ECONNREFUSED when nobody listens, or with the signal's reason. */
  connect(path: string, signal: AbortSignal): Promise<Connection>;
  /** Makes a directory of its own with a short path, mode 0700, for sockets whose own path would be too long. */
  makeShortDirectory(): Promise<string>;
  /** Removes what {@link makeShortDirectory} made, with the sockets in it. Leaves every other path alone. */
  removeShortDirectory(path: string): Promise<void>;
}
