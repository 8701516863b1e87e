/**
 * Makes the golden directories that the current version of the format does not have yet:
 * `npm run build && node dist/test/golden/make.js`. Those that are there stay as they are.
 */
import {
  digest,
  goldenCases,
  CURRENT_VERSION,
  sumsOf,
  writeGolden,
  writeSums,
} from "./golden-files.ts";
import { CASES } from "./cases.ts";
import { meaningOf } from "./meaning.ts";

const present = goldenCases(CURRENT_VERSION);
for (const [name, make] of Object.entries(CASES)) {
  if (present.includes(name)) continue;
  const scene = await make();
  const paths = scene.disk.paths();
  const files = new Map(
    paths.map((path) => [path.slice("/data/".length), scene.disk.contents(path)]),
  );
  writeGolden(name, { files, expected: await meaningOf(scene) });
  console.log(`made ${CURRENT_VERSION}/${name}`);
}
writeSums();
console.log(`${CURRENT_VERSION}: "${digest(sumsOf(CURRENT_VERSION))}"`);
