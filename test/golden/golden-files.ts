/**
 * Golden directories: what released versions have written, as text, and what they mean.
 *
 * `test/golden/v1/<case>/` holds the files of a data directory as hex dumps (`log/seg-....hfw.hex`) and `expected.json`.
 * `SHA256SUMS` beside the cases has the checksum of each file: nobody changes one without this being seen.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { FORMAT_MAJOR, FORMAT_MINOR } from "../../src/wal/format.ts";
import { fromHexDump, hexDump } from "../support/hex-dump.ts";
import { listFiles, readText, repositoryRoot } from "../support/repository.ts";

/** Largest file: golden files are read by people, too. */
export const GOLDEN_FILE_BYTES_MAX: number = 20 * 1024;
/** The folder of the format that is written now. */
export const CURRENT_VERSION: string = `v${[FORMAT_MAJOR, FORMAT_MINOR].join(".")}`.replace(
  /\.0$/,
  "",
);
export const SUMS = "SHA256SUMS";
const GOLDEN_DIRECTORY = "test/golden";
const EXPECTED = "expected.json";

/** One case of one version. */
export interface Golden {
  /** Files of the data directory, by path below it. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What they mean, as JSON. */
  readonly expected: string;
}

const root = repositoryRoot();

/** Paths of a version's golden files below its folder, without the checksums. */
export function goldenPaths(version: string): readonly string[] {
  const folder = `${GOLDEN_DIRECTORY}/${version}/`;
  return listFiles(root, folder.slice(0, -1))
    .map((path) => path.slice(folder.length))
    .filter((path) => path !== SUMS);
}

/** Text of a golden file. */
export function goldenText(version: string, path: string): string {
  return readText(root, `${GOLDEN_DIRECTORY}/${version}/${path}`);
}

/** Names of a version's cases. */
export function goldenCases(version: string): readonly string[] {
  return [...new Set(goldenPaths(version).map((path) => path.split("/")[0] ?? ""))];
}

export function readGolden(version: string, name: string): Golden {
  const files = new Map<string, Uint8Array>();
  for (const path of goldenPaths(version)) {
    const [, file = ""] = new RegExp(`^${name}/(.+)\\.hex$`).exec(path) ?? [];
    if (file !== "") files.set(file, fromHexDump(goldenText(version, path)));
  }
  return { files, expected: goldenText(version, `${name}/${EXPECTED}`) };
}

/** Writes a case of the current version. The caller has made sure that there is none. */
export function writeGolden(name: string, { expected, files }: Golden): void {
  const texts = [...files].map(([path, bytes]) => [`${path}.hex`, hexDump(bytes)] as const);
  for (const [path, text] of [...texts, [EXPECTED, expected] as const]) {
    const full = join(root, GOLDEN_DIRECTORY, CURRENT_VERSION, name, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
  }
}

/** The lines of SHA256SUMS as the files are now. */
export function sumsOf(version: string): string {
  const lines = goldenPaths(version).map((path) => `${digest(goldenText(version, path))}  ${path}`);
  return `${lines.join("\n")}\n`;
}

/** Writes the checksums of the current version. */
export function writeSums(): void {
  writeFileSync(join(root, GOLDEN_DIRECTORY, CURRENT_VERSION, SUMS), sumsOf(CURRENT_VERSION));
}

/** SHA-256 in hex. */
export function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
