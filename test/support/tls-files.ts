/** The certificates of test/fixtures/tls. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "./repository.ts";

/** Path of one: `first`, `second` (servers, each its own authority), `client` (meter-7, signed by `first`). */
export function tlsPath(name: "first" | "second" | "client", kind: "cert" | "key"): string {
  return join(repositoryRoot(), "test/fixtures/tls", `${name}.${kind}.pem`);
}

/** Its bytes. */
export function tlsFile(name: "first" | "second" | "client", kind: "cert" | "key"): Buffer {
  return readFileSync(tlsPath(name, kind));
}
