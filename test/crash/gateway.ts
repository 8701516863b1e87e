/**
 * The gateway under test: the example, with parts and segments so small that a short run rolls and recycles many.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePorts } from "../support/free-port.ts";
import {
  databasePathOf,
  gatewayDocument,
  partsDirectoryOf,
  type GatewayPlace,
} from "../support/gateway-example.ts";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";

/** Where the gateway is and what it writes. */
export interface Gateway extends GatewayPlace {
  readonly configPath: string;
  readonly databasePath: string;
  readonly partsDirectory: string;
}

/** Writes the configuration of a gateway into a directory that exists. */
export async function layOutGateway(directory: string, random: SeededRandom): Promise<Gateway> {
  const [tcpPort = 0, httpPort = 0, consolePort = 0] = await freePorts(3);
  const place: GatewayPlace = { directory, tcpPort, httpPort, consolePort };
  const document = await gatewayDocument(place);
  document.setIn(["log", "segmentMax"], "4MiB");
  document.setIn(["log", "bytesMax"], "64MiB");
  document.setIn(["sinks", "files", "partMax"], "256KiB");
  document.setIn(["sinks", "files", "partAgeMax"], "1s");
  // The example's intervals make few large commits and batches; without them there are many more moments to die in.
  document.setIn(["log", "minCommitInterval"], random.pick(["0ms", "20ms"]));
  document.setIn(
    ["pipelines", "readings", "trigger"],
    random.pick(["asap", { asap: { minInterval: "100ms" } }]),
  );
  const configPath = join(directory, "holdfast.yaml");
  await writeFile(configPath, String(document));
  return {
    ...place,
    configPath,
    databasePath: databasePathOf(place),
    partsDirectory: partsDirectoryOf(place),
  };
}
