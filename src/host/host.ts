/**
 * The outside world as one value. `createIngest({ host })` takes another one for simulation.
 */
import type { Clock } from "./clock.ts";
import type { Files } from "./files.ts";
import type { HttpServers } from "./http.ts";
import type { HttpClient } from "./http-client.ts";
import type { LocalSockets } from "./local-sockets.ts";
import type { HostProcess } from "./process.ts";
import type { Random } from "./random.ts";
import type { Sockets } from "./sockets.ts";

/** Everything outside: time, randomness, files, sockets, HTTP, the process. */
export interface Host {
  readonly kind: "host";
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly sockets: Sockets;
  readonly http: HttpServers;
  readonly httpClient: HttpClient;
  /** A host without them has no control socket. */
  readonly local?: LocalSockets;
  readonly process: HostProcess;
}
