/**
 * A gateway for tests of faults and identity: the example in a directory of its own, its sinks beside the data
 * directory and not in it, so that each can be lost, filled up, copied or restored without the others.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Document } from "yaml";
import type { Gateway } from "../crash/gateway.ts";
import { freePorts } from "../support/free-port.ts";
import { gatewayDocument } from "../support/gateway-example.ts";

/** A gateway and where its data lies. */
export interface Place extends Gateway {
  readonly dataDirectory: string;
}

/** What differs from the example. */
export interface Layout {
  /** Where data goes; beside the sinks unless given. */
  readonly dataDirectory?: string;
  /** Changes the document further. */
  readonly change?: (document: Document) => void;
}

/** Lays a gateway out in a directory that is removed after the test. Nothing runs yet. */
export async function layOut(context: TestContext, layout: Layout = {}): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-fault-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const [tcpPort = 0, httpPort = 0, consolePort = 0] = await freePorts(3);
  const place: Place = {
    directory,
    tcpPort,
    httpPort,
    consolePort,
    dataDirectory: layout.dataDirectory ?? join(directory, "data"),
    configPath: join(directory, "holdfast.yaml"),
    databasePath: join(directory, "sinks", "readings.db"),
    partsDirectory: join(directory, "sinks", "parts"),
  };
  await mkdir(join(directory, "sinks"));
  await configure(place, layout);
  return place;
}

/** Writes the configuration of a place; a copy of one with another directory has the same sinks and ports. */
export async function configure(place: Place, { change }: Layout = {}): Promise<void> {
  const document = await gatewayDocument(place);
  document.setIn(["data"], place.dataDirectory);
  document.setIn(["log", "segmentMax"], "4MiB");
  document.setIn(["log", "bytesMax"], "64MiB");
  document.setIn(["sinks", "store", "file"], place.databasePath);
  document.setIn(["sinks", "files", "directory"], place.partsDirectory);
  change?.(document);
  await writeFile(place.configPath, String(document));
}
