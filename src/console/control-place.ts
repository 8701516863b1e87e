/**
 * Where the control socket of a data directory is: `run/control.sock` in it, or, where that path is too long for
 * a socket, in a short directory whose name `run/control.path` keeps.
 */
import { join, resolve } from "node:path";
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import type { LocalSockets } from "../host/local-sockets.ts";

const RUN_DIRECTORY = "run";
const SOCKET_FILE = "control.sock";
const PATH_FILE = "control.path";

/** What finding the place needs. */
export interface ControlPlace {
  readonly files: Files;
  readonly local: LocalSockets;
  /** The data directory. */
  readonly directory: string;
}

/** A socket path that is free, and how to give it back. */
export interface PreparedPath {
  readonly path: string;
  /** Removes what was made for it, once the socket is closed. */
  release(): Promise<void>;
}

/**
 * Makes the place free for this process, which holds the directory's lock: whatever is there was left behind by
 * one that is gone.
 */
export async function preparePath(place: ControlPlace): Promise<PreparedPath> {
  const { files, local, directory } = place;
  const run = join(resolve(directory), RUN_DIRECTORY);
  await files.makeDirectory(run);
  await forgetShort(place, run);
  const path = join(run, SOCKET_FILE);
  await files.remove(path);
  if (fits(path, local)) return { path, release: () => Promise.resolve() };
  const short = await local.makeShortDirectory();
  try {
    await writeText(files, join(run, PATH_FILE), short);
  } catch (cause) {
    await local.removeShortDirectory(short);
    throw cause;
  }
  return { path: join(short, SOCKET_FILE), release: () => forgetShort(place, run) };
}

/** Where the socket of a running instance would be; undefined when there can be none. */
export async function findPath({
  files,
  local,
  directory,
}: ControlPlace): Promise<string | undefined> {
  const run = join(resolve(directory), RUN_DIRECTORY);
  const short = await readText(files, join(run, PATH_FILE));
  if (short !== undefined) return join(short, SOCKET_FILE);
  const path = join(run, SOCKET_FILE);
  return fits(path, local) ? path : undefined;
}

function fits(path: string, { pathBytesMax }: LocalSockets): boolean {
  return Buffer.byteLength(path) <= pathBytesMax;
}

async function forgetShort({ files, local }: ControlPlace, run: string): Promise<void> {
  const short = await readText(files, join(run, PATH_FILE));
  // Left alone where it cannot be removed: it is not ours then.
  if (short !== undefined) await local.removeShortDirectory(short).catch(() => undefined);
  await files.remove(join(run, PATH_FILE));
}

async function readText(files: Files, path: string): Promise<string | undefined> {
  try {
    const text = new TextDecoder().decode(await files.readFile(path)).trim();
    return text === "" ? undefined : text;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return undefined;
    throw error;
  }
}

async function writeText(files: Files, path: string, text: string): Promise<void> {
  const handle = await files.open(path, "create");
  try {
    const bytes = new TextEncoder().encode(text);
    await handle.write(bytes, 0, bytes.length, 0);
  } finally {
    await handle.close();
  }
}
