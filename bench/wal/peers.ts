/**
 * Packages that the log is compared with. They are no dependencies of the product: a bench installs them into
 * `bench/build` when it needs them, each in a folder of its own, and goes on without one that does not install.
 */
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { buildDirectory, runToEnd } from "../tools.ts";

/** Pinned: figures of another version are other figures. */
const versions = {
  "better-sqlite3": "12.11.1",
  lmdb: "3.5.6",
  "classic-level": "3.0.0",
  "@node-rs/crc32": "1.10.8",
  "xxhash-wasm": "1.1.0",
} as const;

/** A package by its name. */
export type PeerName = keyof typeof versions;

/** Name and version, as a table shows them. */
export function peerTitle(name: PeerName): string {
  return `${name} ${versions[name]}`;
}

function folderOf(name: PeerName): string {
  return join(buildDirectory, "peers", `${name.replaceAll(/[@/]/g, "")}-${versions[name]}`);
}

/** Installs a package unless it is there. False when npm did not manage; a native one may take minutes. */
export async function installPeer(name: PeerName): Promise<boolean> {
  const folder = folderOf(name);
  const done = join(folder, "installed");
  if (existsSync(done)) return true;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), '{ "private": true }\n');
  const words = ["install", "--no-package-lock", "--no-audit", "--no-fund"];
  const ended = await runToEnd("npm", [...words, `${name}@${versions[name]}`], { cwd: folder });
  const isInstalled = ended.kind === "ended" && ended.code === 0 && (await loads(name));
  if (isInstalled) await writeFile(done, "");
  return isInstalled;
}

/** A native module may be there and not fit this Node. */
async function loads(name: PeerName): Promise<boolean> {
  const script = `require(${JSON.stringify(name)})`;
  const ended = await runToEnd(process.execPath, ["-e", script], { cwd: folderOf(name) });
  return ended.kind === "ended" && ended.code === 0;
}

/** An installed package. What comes back is for the caller to describe. */
export function loadPeer(name: PeerName): unknown {
  return createRequire(join(folderOf(name), "package.json"))(name);
}
