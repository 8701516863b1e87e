import { deepEqual, equal, rejects } from "node:assert/strict";
import {
  chmodSync,
  constants,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import type { OpenMode } from "../../src/host/files.ts";
import { fileSystemType, realFiles } from "../../src/host/real-files.ts";

function directory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "holdfast-files-"));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

for (const durable of [false, true]) {
  test(`real files: ${durable ? "durable" : "plain"} writes are read back, at their positions`, async (context) => {
    const path = join(directory(context), "file");
    const file = await realFiles.open(path, durable ? "create-durable" : "create");
    equal(await file.write(Buffer.from("xxhello"), 2, 5, 10), 5);
    await file.sync();
    equal(await file.size(), 15);
    const buffer = new Uint8Array(8);
    equal(await file.read(buffer, 1, 7, 10), 5);
    equal(Buffer.from(buffer).toString("latin1"), "\0hello\0\0");
    await file.truncate(12);
    await file.close();
    await file.close();
    deepEqual([...(await realFiles.readFile(path)).subarray(10)], [...Buffer.from("he")]);
    const again = await realFiles.open(path, durable ? "write-durable" : "write");
    await again.write(Buffer.from("y"), 0, 1, 0);
    await again.close();
    equal((await realFiles.stat(path))?.bytes, 12);
  });
}

test("real files: durable modes open with O_DSYNC on Linux, plain ones without", {
  skip: process.platform !== "linux",
}, async (context) => {
  const root = directory(context);
  for (const [mode, isDurable] of [
    ["create", false],
    ["create-durable", true],
    ["write", false],
    ["write-durable", true],
    ["read", false],
  ] as const) {
    const path = join(root, isDurable ? "durable" : "plain");
    const file = await realFiles.open(path, mode);
    equal((openFlags(path) & constants.O_DSYNC) !== 0, isDurable, mode);
    await file.close();
  }
});

/** Flags of the one descriptor of this process that has the file open. */
function openFlags(path: string): number {
  const fd = readdirSync("/proc/self/fd").find(
    (name) => readlink(`/proc/self/fd/${name}`) === path,
  );
  const flags = /^flags:\s+([0-7]+)$/mu.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
  return Number.parseInt(flags ?? "", 8);
}

function readlink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    // The descriptor that listed the directory is gone by now.
    return undefined;
  }
}

const refusals: readonly {
  readonly mode: OpenMode;
  readonly exists: boolean;
  readonly code: string;
}[] = [
  { mode: "create", exists: true, code: "EEXIST" },
  { mode: "create-durable", exists: true, code: "EEXIST" },
  { mode: "read", exists: false, code: "ENOENT" },
  { mode: "write", exists: false, code: "ENOENT" },
  { mode: "write-durable", exists: false, code: "ENOENT" },
];
for (const { mode, exists, code } of refusals) {
  test(`real files: open ${mode} of a file that is ${exists ? "there" : "not there"} rejects with ${code}`, async (context) => {
    const path = join(directory(context), "file");
    if (exists) writeFileSync(path, "");
    await rejects(realFiles.open(path, mode), { code });
  });
}

test("real files: a closed file is never used again, whatever has its number", async (context) => {
  const path = join(directory(context), "file");
  const file = await realFiles.open(path, "create");
  await file.close();
  await rejects(file.read(new Uint8Array(1), 0, 1, 0), { code: "EBADF" });
  await rejects(file.write(new Uint8Array(1), 0, 1, 0), { code: "EBADF" });
  await rejects(file.sync(), { code: "EBADF" });
});

test("real files: files are for their owner alone, also under a loose umask", async (context) => {
  const before = process.umask(0);
  context.after(() => void process.umask(before));
  const root = directory(context);
  await realFiles.makeDirectory(join(root, "a", "b"));
  await realFiles.makeDirectory(join(root, "a", "b"));
  await (await realFiles.open(join(root, "a", "b", "file"), "create")).close();
  const modeOf = (path: string): number => statSync(join(root, path)).mode & 0o777;
  deepEqual([modeOf("a"), modeOf("a/b"), modeOf("a/b/file")], [0o700, 0o700, 0o600]);
});

test("real files: a directory that cannot be made is refused, and a file is none", async (context) => {
  const root = directory(context);
  writeFileSync(join(root, "file"), "");
  await rejects(realFiles.makeDirectory(join(root, "file")), { code: "EEXIST" });
  await rejects(realFiles.makeDirectory(join(root, "file", "below")), { code: "ENOTDIR" });
  symlinkSync(root, join(root, "link"));
  await realFiles.makeDirectory(join(root, "link"));
  // Node's own way of making parents never comes back here.
  if (process.platform === "linux")
    await rejects(realFiles.makeDirectory("/proc/holdfast/data"), { code: "ENOENT" });
});

test("real files: a listing is sorted and names kinds", async (context) => {
  const root = directory(context);
  writeFileSync(join(root, "b"), "");
  writeFileSync(join(root, "a"), "");
  await realFiles.makeDirectory(join(root, "B"));
  symlinkSync(join(root, "a"), join(root, "link"));
  deepEqual(await realFiles.list(root), [
    { name: "B", kind: "directory" },
    { name: "a", kind: "file" },
    { name: "b", kind: "file" },
    { name: "link", kind: "other" },
  ]);
  await rejects(realFiles.list(join(root, "none")), { code: "ENOENT" });
});

test("real files: a rename replaces and keeps the inode, a removal bears repetition", async (context) => {
  const root = directory(context);
  const [from, to] = [join(root, "from"), join(root, "to")];
  writeFileSync(from, "new");
  writeFileSync(to, "old");
  const before = await realFiles.stat(from);
  await realFiles.rename(from, to);
  await realFiles.syncDirectory(root);
  deepEqual(await realFiles.stat(to), before);
  await realFiles.remove(to);
  await realFiles.remove(to);
  equal(await realFiles.stat(to), undefined);
  await rejects(realFiles.readFile(to), { code: "ENOENT" });
});

test("real files: a directory without permission rejects", {
  skip: process.getuid?.() === 0 && "this Node runs as root, who may do everything",
}, async (context) => {
  const root = directory(context);
  chmodSync(root, 0o500);
  await rejects(realFiles.open(join(root, "file"), "create"), { code: "EACCES" });
});

test("real files: a file system has a name and room", async (context) => {
  const { type, freeBytes, totalBytes } = await realFiles.fileSystem(directory(context));
  equal(type, fileSystemType(statfsType(type)));
  equal(freeBytes <= totalBytes && totalBytes > 0, true);
});

/** The number of a known name; an unknown name carries its own. */
function statfsType(type: string): number {
  const known: Readonly<Record<string, number>> = {
    ext4: 0xef53,
    xfs: 0x58465342,
    btrfs: 0x9123683e,
    tmpfs: 0x01021994,
    overlay: 0x794c7630,
  };
  return known[type] ?? Number.parseInt(type.replace("unknown-", ""), 16);
}

test("real files: negative numbers of statfs are the same file system", () => {
  deepEqual(
    [fileSystemType(0x9123683e | 0), fileSystemType(0x01021994), fileSystemType(0x1234)],
    ["btrfs", "tmpfs", "unknown-1234"],
  );
});
