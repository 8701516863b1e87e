/**
 * The machine in a few words: what figures depend on, and nothing that names it.
 */
import { constants } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { cpus, release, tmpdir, totalmem, type } from "node:os";
import { join } from "node:path";
import { median } from "./statistics.ts";
import { removeTemporary, temporaryDirectory } from "./temporary.ts";

const syncWrites = 100;
const syncBytes = 4096;
const bytesPerGib = 1024 ** 3;

/** CPU, memory, system, Node, file system, and what a small durable write costs. */
export async function describeMachine(): Promise<string> {
  const processors = cpus();
  const syncMs = await syncCostMs();
  return [
    `${processors.length} x ${processors[0]?.model.trim() ?? "unknown CPU"}`,
    `${Math.round(totalmem() / bytesPerGib)} GiB`,
    `${type()} ${release().split(".").slice(0, 2).join(".")}`,
    `Node ${process.versions.node}`,
    `${await fileSystemOf(tmpdir())}, a durable 4 KiB write takes ${syncMs.toFixed(2)} ms`,
  ].join(", ");
}

/** The type of the mount that holds a path: the longest mount point that begins it. */
async function fileSystemOf(path: string): Promise<string> {
  const mounts = (await readFile("/proc/mounts", "utf8"))
    .split("\n")
    .map((line) => line.split(" "));
  let best = { point: "", kind: "unknown file system" };
  for (const [, point = "", kind = ""] of mounts) {
    const holds = path === point || path.startsWith(point === "/" ? "/" : `${point}/`);
    if (holds && point.length >= best.point.length) best = { point, kind };
  }
  return best.kind;
}

/** Median of overwriting a block through O_DSYNC, as the log does. */
async function syncCostMs(): Promise<number> {
  const directory = await temporaryDirectory();
  const block = Buffer.alloc(syncBytes, 1);
  const file = await open(
    join(directory, "sync"),
    constants.O_CREAT | constants.O_WRONLY | constants.O_DSYNC,
    0o600,
  );
  try {
    await file.write(block, 0, syncBytes, 0);
    const times: number[] = [];
    for (let write = 0; write < syncWrites; write += 1) {
      const startMs = performance.now();
      await file.write(block, 0, syncBytes, 0);
      times.push(performance.now() - startMs);
    }
    return median(times);
  } finally {
    await file.close();
    await removeTemporary(directory);
  }
}
