/**
 * The worked example of docs/format.md is what the writer writes, byte for byte.
 */
import { equal, ok } from "node:assert/strict";
import { test } from "node:test";

import { fromHexDump, hexDump } from "../support/hex-dump.ts";
import { readText, repositoryRoot } from "../support/repository.ts";
import { newScene, lines, open, type Scene, segmentPaths } from "./log-scene.ts";

const LOG_UUID = Uint8Array.from({ length: 16 }, (_, index) => index);

/** The block of hex dump in the page, without its fence. */
function exampleInPage(): string {
  const page = readText(repositoryRoot(), "docs/format.md");
  const dumps = Array.from(page.matchAll(/^```hex\n(.*?)^```$/gms), ([, dump = ""]) => dump);
  equal(dumps.length, 1, "hex blocks in docs/format.md");
  return dumps.join("");
}

/** What the page describes: two records with keys and a position in one block, then a clean end. */
async function writeExample(): Promise<Scene> {
  const scene = newScene();
  const { log } = await open(scene, { logUuid: LOG_UUID });
  const keys = { bytes: Buffer.from("ab"), ends: Uint32Array.of(1, 2) };
  const block = lines(["20.5", "21"], { channel: "c1", keys, position: Uint8Array.of(7, 0, 0, 0) });
  await log.append(block, { receiver: "meters", epoch: 3 });
  await log.close();
  return scene;
}

test("format example: the page shows what the writer writes", async () => {
  const scene = await writeExample();
  const [path = ""] = segmentPaths(scene);
  const written = scene.disk.contents(path);
  const inPage = exampleInPage();
  equal(hexDump(fromHexDump(inPage)), hexDump(written));
  ok(inPage.includes("\n00001000: "), "the page shows the lines as they are");
});
