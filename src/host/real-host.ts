/**
 * The machine as a {@link Host}.
 */
import { realClock } from "./clock.ts";
import type { Host } from "./host.ts";
import { realRandom } from "./random.ts";
import { realFiles } from "./real-files.ts";
import { realHttp } from "./real-http.ts";
import { realHttpClient } from "./real-http-client.ts";
import { realLocalSockets } from "./real-local-sockets.ts";
import { realProcess } from "./real-process.ts";
import { realSockets } from "./real-sockets.ts";

/** The real clock, randomness, files, sockets, HTTP and process. */
export function realHost(): Host {
  return Object.freeze({
    kind: "host",
    clock: realClock,
    random: realRandom,
    files: realFiles,
    sockets: realSockets(),
    http: realHttp,
    httpClient: realHttpClient,
    local: realLocalSockets,
    process: realProcess,
  });
}
