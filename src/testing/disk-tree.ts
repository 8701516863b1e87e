/**
 * Directories and files of the simulated disk, without time: what is named how, what a power cut keeps.
 */
import { DirectoryInode, type EntryChange, FileInode, type PartFate } from "./disk-inode.ts";

/** An error as Node's `fs` gives it. */
export function fileError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path });
}

/** Something that is in the cache only: a power cut keeps it or not. */
export type UnsyncedItem =
  | {
      readonly kind: "block";
      readonly path: string;
      readonly blockIndex: number;
      readonly versions: number;
    }
  | { readonly kind: "size"; readonly path: string; readonly bytes: number }
  | {
      readonly kind: "entry";
      readonly path: string;
      readonly change: "create" | "remove" | "rename";
    };

/** What a power cut does with each unsynced item. A block may be kept in parts; for others an object means kept. */
export type Keep = "all" | "none" | ((item: UnsyncedItem) => PartFate);

/** Path in one form: absolute, without empty parts, `.` and `..`. */
export function normalPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

export function parentOf(path: string): string {
  return normalPath(`${normalPath(path)}/..`);
}

export function nameOf(path: string): string {
  return normalPath(path).split("/").at(-1) ?? "";
}

export class DiskTree {
  readonly #inodes = new Map<number, FileInode | DirectoryInode>();
  readonly #root: DirectoryInode;
  #nextId = 2;

  constructor(root: DirectoryInode = new DirectoryInode(1)) {
    this.#root = root;
    this.#inodes.set(root.id, root);
  }

  find(path: string): FileInode | DirectoryInode | undefined {
    let node: FileInode | DirectoryInode | undefined = this.#root;
    for (const part of normalPath(path).split("/")) {
      if (part === "") continue;
      if (node?.kind !== "directory") return undefined;
      node = this.#inodes.get(node.cache.get(part) ?? 0);
    }
    return node;
  }

  file(path: string): FileInode {
    const node = this.find(path);
    if (node === undefined) throw fileError("ENOENT", path);
    if (node.kind !== "file") throw fileError("EISDIR", path);
    return node;
  }

  directory(path: string): DirectoryInode {
    const node = this.find(path);
    if (node === undefined) throw fileError("ENOENT", path);
    if (node.kind !== "directory") throw fileError("ENOTDIR", path);
    return node;
  }

  createFile(path: string): FileInode {
    if (this.find(path) !== undefined) throw fileError("EEXIST", path);
    return this.#link(path, new FileInode(this.#nextId));
  }

  makeDirectory(path: string): void {
    const normal = normalPath(path);
    if (this.find(normal) !== undefined) return void this.directory(normal);
    this.makeDirectory(parentOf(normal));
    this.#link(normal, new DirectoryInode(this.#nextId));
  }

  rename(from: string, to: string): void {
    const node = this.find(from);
    if (node === undefined) throw fileError("ENOENT", from);
    const source = this.directory(parentOf(from));
    const target = this.directory(parentOf(to));
    source.cache.delete(nameOf(from));
    target.cache.set(nameOf(to), node.id);
    const fromDirectory = normalPath(parentOf(from));
    target.changes.push({
      kind: "rename",
      from: nameOf(from),
      fromDirectory,
      name: nameOf(to),
      inodeId: node.id,
    });
  }

  remove(path: string): void {
    const node = this.find(path);
    if (node === undefined) return;
    if (node.kind === "directory") throw fileError("EISDIR", path);
    const directory = this.directory(parentOf(path));
    directory.cache.delete(nameOf(path));
    directory.changes.push({ kind: "remove", name: nameOf(path) });
  }

  syncDirectory(path: string): void {
    const directory = this.directory(path);
    for (const change of directory.changes) this.#applyChange(directory, change);
    directory.changes = [];
  }

  /** Blocks of all files that have a name. */
  allocatedBlocks(): number {
    let blocks = 0;
    for (const { node } of this.#walk("/", this.#root))
      if (node.kind === "file") blocks += node.allocatedBlocks;
    return blocks;
  }

  /** Paths of all files, sorted. */
  paths(): string[] {
    const found: string[] = [];
    for (const { path, node } of this.#walk("/", this.#root))
      if (node.kind === "file") found.push(path);
    return found.toSorted();
  }

  unsynced(): UnsyncedItem[] {
    const items: UnsyncedItem[] = [];
    for (const { path, node } of this.#walk("/", this.#root)) {
      if (node.kind === "file") for (const part of node.unsynced()) items.push({ ...part, path });
      else for (const change of node.changes) items.push(entryItem(path, change));
    }
    return items;
  }

  crash(keep: Keep): void {
    const fateOf = (item: UnsyncedItem): PartFate =>
      typeof keep === "function" ? keep(item) : keep === "all";
    const nodes = [...this.#walk("/", this.#root)];
    const named = new Set(nodes.map(({ node }) => node.id));
    for (const { path, node } of nodes) {
      if (node.kind === "file") {
        node.crash((part) => fateOf({ ...part, path }));
        continue;
      }
      const kept = node.changes.filter((change) => fateOf(entryItem(path, change)) !== false);
      for (const change of kept) this.#applyChange(node, change);
    }
    for (const node of this.#inodes.values()) {
      if (node.kind === "file" && !named.has(node.id)) node.crash(() => false);
      if (node.kind === "directory") {
        node.cache = new Map(node.platter);
        node.changes = [];
      }
    }
  }

  copy(): DiskTree {
    const twin = new DiskTree(this.#root.copy());
    for (const [id, node] of this.#inodes)
      if (node !== this.#root) twin.#inodes.set(id, node.copy());
    twin.#nextId = this.#nextId;
    return twin;
  }

  #link<Node extends FileInode | DirectoryInode>(path: string, node: Node): Node {
    const directory = this.directory(parentOf(path));
    this.#nextId += 1;
    this.#inodes.set(node.id, node);
    directory.cache.set(nameOf(path), node.id);
    directory.changes.push({ kind: "create", name: nameOf(path), inodeId: node.id });
    return node;
  }

  #applyChange(directory: DirectoryInode, change: EntryChange): void {
    if (change.kind === "remove") return void directory.platter.delete(change.name);
    directory.platter.set(change.name, change.inodeId);
    if (change.kind === "create") return;
    // A rename is one step of the journal: the old name goes when the new one comes.
    const source = this.find(change.fromDirectory);
    if (
      source?.kind === "directory" &&
      source.platter.get(change.from) === change.inodeId &&
      (source !== directory || change.from !== change.name)
    ) {
      source.platter.delete(change.from);
    }
  }

  *#walk(
    path: string,
    node: FileInode | DirectoryInode,
  ): Generator<{ path: string; node: FileInode | DirectoryInode }> {
    yield { path, node };
    if (node.kind === "file") return;
    for (const [name, id] of [...node.cache].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const child = this.#inodes.get(id);
      if (child !== undefined) yield* this.#walk(normalPath(`${path}/${name}`), child);
    }
  }
}

function entryItem(directory: string, change: EntryChange): UnsyncedItem {
  return { kind: "entry", path: normalPath(`${directory}/${change.name}`), change: change.kind };
}
