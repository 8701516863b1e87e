/**
 * The directory of a file sink: its marker, and parts that begin and end.
 */
import { dirname } from "node:path";
import type { SinkContext } from "../contract/sink.ts";
import { codeOf, HoldfastError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { fileCall, PartFile } from "./file-part.ts";
import {
  decodeMarker,
  encodeMarker,
  type Findings,
  type Marker,
  type PartState,
  type PartToken,
  type Recovery,
  recover,
  short,
} from "./file-recovery.ts";

/** Says whose the directory is and which part was finished last. */
export const MARKER_FILE = ".holdfast";

/** Digits of the offset in a part's name: names sort as offsets do. */
const OFFSET_DIGITS = 16;

/** Where parts lie and what they are called. */
export interface PartNames {
  readonly directory: string;
  /** `jsonl`, `log` */
  readonly extension: string;
}

/** The directory while a session uses it. Calls never overlap. */
export class PartDirectory {
  readonly #files: Files;
  readonly #names: PartNames;
  readonly #sink: string;
  #marker: Marker;

  private constructor(context: SinkContext, names: PartNames, marker: Marker) {
    this.#files = context.files;
    this.#sink = context.name;
    this.#names = names;
    this.#marker = marker;
  }

  /**
   * Makes the directory if needed, takes it over, and says what is to be done with an open part.
   *
   * @throws SINK_CONFLICT, SINK_BEHIND, SINK_FAILED, DIRECTORY_UNWRITABLE
   */
  static async open(
    context: SinkContext,
    names: PartNames,
    token: PartToken | undefined,
  ): Promise<{ readonly directory: PartDirectory; readonly recovery: Recovery }> {
    const { files, name: sink, writerId, epoch } = context;
    await fileCall(sink, names.directory, files.makeDirectory(names.directory));
    const known = await readMarker(context, names);
    // A marker is written after this, so where there is one the directory itself is durable.
    if (known === undefined)
      await fileCall(sink, names.directory, syncAncestors(files, names.directory));
    const recovery = recover(await findings(context, names, token, known));
    const marker: Marker = {
      writerId,
      sink,
      epoch,
      open: recovery.open,
      finished: recovery.finished,
    };
    const directory = new PartDirectory(context, names, marker);
    // Removed before the marker says more: until then the same decision is made again.
    if (recovery.remove) await fileCall(sink, names.directory, files.remove(directory.openPath));
    if (known === undefined || !isSame(known, marker)) await directory.#writeMarker(marker);
    return { directory, recovery };
  }

  get openPath(): string {
    return this.#pathOf(this.#marker.open);
  }

  /** The open part with its first `bytes` bytes. */
  openPart(bytes: number): Promise<PartFile> {
    return PartFile.open(this.#files, this.#sink, { path: this.openPath, bytes });
  }

  /** Makes the open part's name durable; its bytes are the part's own affair. */
  syncNames(): Promise<void> {
    return fileCall(
      this.#sink,
      this.#names.directory,
      this.#files.syncDirectory(this.#names.directory),
    );
  }

  /** Name of a part whose first row is of this record: one that no file has. */
  async partName(firstOffset: number): Promise<string> {
    const stem = String(firstOffset).padStart(OFFSET_DIGITS, "0");
    const { extension } = this.#names;
    const candidates = [
      `${stem}.${extension}`,
      `${stem}-${short(this.#marker.writerId)}.${extension}`,
    ];
    for (const name of candidates) if (!(await this.#exists(name))) return name;
    throw this.#nameTaken(candidates.join(" and "));
  }

  /** Renames the open part, which is closed and holds committed bytes only. Durable when it resolves. */
  async finish({ part }: PartState): Promise<void> {
    await this.#checkOwner();
    if (await this.#exists(part)) throw this.#nameTaken(part);
    await fileCall(
      this.#sink,
      this.openPath,
      this.#files.rename(this.openPath, this.#pathOf(part)),
    );
    // First the name, then the marker: a marker that says "finished" must never be wrong.
    await this.syncNames();
    await this.#writeMarker({ ...this.#marker, finished: part });
  }

  /** Another process may have taken the directory over since: then its open part is not ours to rename. */
  async #checkOwner(): Promise<void> {
    const path = this.#pathOf(MARKER_FILE);
    const found = decodeMarker(await fileCall(this.#sink, path, this.#files.readFile(path)));
    if (found !== undefined && isSame(found, this.#marker)) return;
    throw new HoldfastError(
      "SINK_CONFLICT",
      `${this.#sink}: ${path} names ${found === undefined ? "nobody" : `writer ${short(found.writerId)}, epoch ${found.epoch}`}, this is writer ${short(this.#marker.writerId)}, epoch ${this.#marker.epoch}`,
      {
        fix: "give one of the two another directory",
      },
    );
  }

  async #writeMarker(marker: Marker): Promise<void> {
    const path = this.#pathOf(MARKER_FILE);
    await fileCall(this.#sink, path, replaceFile(this.#files, path, encodeMarker(marker)));
    await this.syncNames();
    this.#marker = marker;
  }

  async #exists(name: string): Promise<boolean> {
    const path = this.#pathOf(name);
    return (await fileCall(this.#sink, path, this.#files.stat(path))) !== undefined;
  }

  #pathOf(name: string): string {
    return `${this.#names.directory}/${name}`;
  }

  #nameTaken(names: string): HoldfastError {
    return new HoldfastError(
      "SINK_CONFLICT",
      `${this.#sink}: ${this.#names.directory} has ${names} already, and a finished part is never replaced`,
      {
        fix: "move the old parts away, or give the sink another directory",
      },
    );
  }
}

/** Codes of directories that this process may not open: then it has not made anything in them either. */
const NOT_OURS: readonly string[] = ["EACCES", "EPERM"];

/** Makes the names of a directory and of all above it durable: an earlier attempt may have made them and stopped there. */
async function syncAncestors(files: Files, directory: string): Promise<void> {
  for (let at = dirname(directory); ; at = dirname(at)) {
    try {
      await files.syncDirectory(at);
    } catch (cause) {
      if (!NOT_OURS.includes(codeOf(cause))) throw cause;
    }
    if (at === dirname(at)) return;
  }
}

/** Replaces a small file as a whole: after a crash it has the old or the new content. Durable after a sync of its directory. */
async function replaceFile(files: Files, path: string, content: Uint8Array): Promise<void> {
  const fresh = `${path}.new`;
  await files.remove(fresh);
  const handle = await files.open(fresh, "create");
  try {
    const taken = await handle.write(content, 0, content.length, 0);
    if (taken < content.length)
      throw new Error(`${fresh} took ${taken} of ${content.length} bytes`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await files.rename(fresh, path);
}

async function readMarker(
  { files, name }: SinkContext,
  { directory }: PartNames,
): Promise<Marker | undefined> {
  const path = `${directory}/${MARKER_FILE}`;
  try {
    return decodeMarker(await files.readFile(path));
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return undefined;
    return await fileCall(name, path, Promise.reject(cause));
  }
}

async function findings(
  context: SinkContext,
  names: PartNames,
  token: PartToken | undefined,
  marker: Marker | undefined,
): Promise<Findings> {
  const { name: sink, writerId, epoch, lastBatchId } = context;
  const { directory, extension } = names;
  const unique = `${sink}-${short(writerId)}`;
  const openNames = [sink, unique, `${unique}-${lastBatchId}`].map(
    (stem) => `.${stem}.${extension}.open`,
  );
  const sizes = new Map<string, number>();
  for (const name of [...openNames, marker?.open ?? "", token?.part ?? ""]) {
    if (name === "" || sizes.has(name)) continue;
    const path = `${directory}/${name}`;
    const stat = await fileCall(sink, path, context.files.stat(path));
    if (stat !== undefined) sizes.set(name, stat.bytes);
  }
  return { sink, directory, writerId, epoch, lastBatchId, openNames, token, marker, sizes };
}

function isSame(a: Marker, b: Marker): boolean {
  return (
    a.writerId === b.writerId &&
    a.sink === b.sink &&
    a.epoch === b.epoch &&
    a.open === b.open &&
    a.finished === b.finished
  );
}
