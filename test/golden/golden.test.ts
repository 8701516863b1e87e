/**
 * What any released version wrote is read by the current one, and nobody changes what was written.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import { newScene, type Scene } from "../wal/log-scene.ts";
import { CASES } from "./cases.ts";
import {
  CURRENT_VERSION,
  digest,
  GOLDEN_FILE_BYTES_MAX,
  goldenCases,
  goldenPaths,
  goldenText,
  readGolden,
  SUMS,
  sumsOf,
} from "./golden-files.ts";
import { meaningOf } from "./meaning.ts";

/** Every version there is, with the checksum of its SHA256SUMS: `node dist/test/golden/make.js` prints it. */
const VERSIONS: Readonly<Record<string, string>> = {
  v1: "4950ed43b6e0810a50df59ab7d292ad9f6978c2df20adaa44d23f8f648d7670f",
};

function sceneOf(files: ReadonlyMap<string, Uint8Array>): Scene {
  const scene = newScene();
  for (const [path, bytes] of files) scene.disk.put(`/data/${path}`, bytes);
  return scene;
}

test("golden: the format that is written now has its files, one case for each situation", () => {
  ok(CURRENT_VERSION in VERSIONS, `make test/golden/${CURRENT_VERSION} and add it here`);
  deepEqual(goldenCases(CURRENT_VERSION), Object.keys(CASES).toSorted());
});

for (const [version, sum] of Object.entries(VERSIONS)) {
  test(`golden: no file of ${version} has been changed, and none is long`, () => {
    equal(goldenText(version, SUMS), sumsOf(version), "a file of a released version was changed");
    equal(digest(goldenText(version, SUMS)), sum);
    for (const path of goldenPaths(version))
      ok(goldenText(version, path).length <= GOLDEN_FILE_BYTES_MAX, path);
  });

  for (const name of goldenCases(version)) {
    test(`golden: ${version}/${name} means what it meant`, async () => {
      const { expected, files } = readGolden(version, name);
      deepEqual(JSON.parse(await meaningOf(sceneOf(files))), JSON.parse(expected));
    });
  }
}
