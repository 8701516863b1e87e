import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { rate } from "../receivers/rate/index.ts";
import type { AnyEvent, Emit } from "../src/contract/events.ts";
import { checkDisk } from "../src/disk-check.ts";
import { healthOf } from "../src/health.ts";
import type { Host } from "../src/host/host.ts";
import { realHost } from "../src/host/real-host.ts";
import { createIngest } from "../src/index.ts";
import { silentLogger } from "./support/logger.ts";
import { SimulatedDisk } from "../src/testing/disk.ts";

const MIB = 1024 * 1024;

async function checked(
  type: string,
  durability: "standard" | "strict",
): Promise<{ readonly warnings: number; readonly events: readonly string[] }> {
  const files = new SimulatedDisk({ type });
  files.putDirectory("/data/log");
  const events: string[] = [];
  const emit: Emit = (kind) => void events.push(kind);
  const warnings = await checkDisk({ files, directory: "/data", durability, emit });
  return { warnings: warnings.length, events };
}

test("disk check: on a journalling file system of a disk nothing is said", async () => {
  for (const type of ["ext4", "xfs", "btrfs", "zfs", "ubifs"]) {
    deepEqual(await checked(type, "standard"), { warnings: 0, events: [] }, type);
    deepEqual(await checked(type, "strict"), { warnings: 0, events: [] }, type);
  }
});

test("disk check: where records may be lost it is one warning, and strict refuses", async () => {
  for (const type of ["tmpfs", "nfs", "9p", "overlay", "fuse", "cifs", "vfat", "unknown-abc"]) {
    deepEqual(await checked(type, "standard"), { warnings: 1, events: ["log-unsuitable"] }, type);
    await rejects(checked(type, "strict"), { code: "FILE_SYSTEM_UNSUITABLE" });
  }
});

test("disk check: a file system that does not answer is not known", async () => {
  const files = new SimulatedDisk();
  files.putDirectory("/data");
  files.inject({ what: "error", kind: "fileSystem", nth: 1, code: "EIO" });
  const [warning] = await checkDisk({
    files,
    directory: "/data",
    durability: "standard",
    emit: () => undefined,
  });
  equal(warning?.message, "/data is on a file system that does not answer, which is not known");
});

test("disk check: a part of the directory that is mounted from elsewhere is found", async () => {
  const files = new SimulatedDisk();
  files.putDirectory("/data/ledger");
  const mounted = Object.assign(Object.create(files) as SimulatedDisk, {
    fileSystem: (path: string) =>
      Promise.resolve({
        type: path.endsWith("ledger") ? "nfs" : "ext4",
        freeBytes: 0,
        totalBytes: 0,
      }),
    stat: (path: string) => files.stat(path),
  });
  const found = await checkDisk({
    files: mounted,
    directory: "/data",
    durability: "standard",
    emit: () => undefined,
  });
  match(found[0]?.message ?? "", /^\/data\/ledger is on nfs/);
});

test("health: warnings are shown and make an ingest no less ready", () => {
  const warning = { unit: "log", code: "FILE_SYSTEM_UNSUITABLE", message: "on tmpfs" };
  deepEqual(healthOf({ units: [], isLogOpen: true, warnings: [] }), { kind: "ready" });
  deepEqual(healthOf({ units: [], isLogOpen: true, warnings: [warning] }), {
    kind: "ready",
    warnings: [warning],
  });
  deepEqual(healthOf({ units: [], isLogOpen: false, warnings: [warning] }), {
    kind: "not-ready",
    reasons: [{ unit: "log", code: "LOG_CLOSED", message: "the log is not open" }],
    warnings: [warning],
  });
});

/** The machine, with another answer to what the file system is. */
function machineOn(type: string): Host {
  const host = realHost();
  const fileSystem = async (path: string): ReturnType<typeof host.files.fileSystem> => ({
    ...(await host.files.fileSystem(path)),
    type,
  });
  return { ...host, files: { ...host.files, fileSystem } };
}

test("ingest: on tmpfs it is ready with one warning; strict refuses and frees the lock", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-disk-check-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const events: AnyEvent[] = [];
  const start = async (durability: "standard" | "strict"): Promise<void> => {
    await using ingest = createIngest({
      directory,
      receivers: [rate("demo", {})],
      pipelines: [],
      log: { durability, bytesMax: 64 * MIB, segmentBytes: 4 * MIB },
      logger: silentLogger,
      host: machineOn("tmpfs"),
      listeners: [{ onEvent: (event) => events.push(event) }],
    });
    await ingest.start();
    const health = ingest.health();
    deepEqual(
      [health.kind, health.warnings?.map(({ code }) => code)],
      ["ready", ["FILE_SYSTEM_UNSUITABLE"]],
    );
  };
  await rejects(start("strict"), { code: "FILE_SYSTEM_UNSUITABLE" });
  await start("standard");
  equal(events.filter(({ kind }) => kind === "log-unsuitable").length, 1);
});
