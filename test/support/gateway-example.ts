/**
 * The configuration of `examples/gateway`, moved to free ports and a directory of its own and without the demo's
 * receiver: crash loops and benches run what a newcomer runs.
 */
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Document, parseDocument } from "yaml";

const exampleDirectory = fileURLToPath(new URL("../../../examples/gateway/", import.meta.url));

/** Where a moved gateway listens and writes. */
export interface GatewayPlace {
  readonly directory: string;
  readonly tcpPort: number;
  readonly httpPort: number;
  readonly consolePort: number;
}

/** The finished `.jsonl` parts of a moved gateway. */
export function partsDirectoryOf(place: GatewayPlace): string {
  return join(place.directory, "data", "out", "readings");
}

/** The table `readings` of a moved gateway. */
export function databasePathOf(place: GatewayPlace): string {
  return join(place.directory, "data", "readings.db");
}

/** The line that says where the console is; it is printed when every receiver listens. */
export function startedLine({ consolePort }: GatewayPlace): RegExp {
  return new RegExp(`http://127\\.0\\.0\\.1:${consolePort}/metrics`);
}

/** The example as a YAML document that may be changed further; `String(document)` is the file's text. */
export async function gatewayDocument(place: GatewayPlace): Promise<Document> {
  const document = parseDocument(await readFile(join(exampleDirectory, "holdfast.yaml"), "utf8"));
  const change = (path: readonly (string | number)[], value: unknown): void => {
    if (!document.hasIn(path)) throw new Error(`the example has no ${path.join(".")}`);
    document.setIn(path, value);
  };
  document.deleteIn(["receivers", "demo"]);
  change(["pipelines", "readings", "from"], ["meters", "web"]);
  change(["data"], join(place.directory, "data"));
  change(["receivers", "meters", "port"], place.tcpPort);
  change(["receivers", "web", "port"], place.httpPort);
  change(["sinks", "store", "file"], databasePathOf(place));
  change(["sinks", "files", "directory"], partsDirectoryOf(place));
  change(["console", "port"], place.consolePort);
  // A module is found from the file that names it, and that file moves.
  change(
    ["pipelines", "readings", "steps", 0, "map"],
    `${relative(place.directory, join(exampleDirectory, "steps.js"))}#addReceipt`,
  );
  return document;
}
