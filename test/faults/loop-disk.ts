/**
 * An ext4 in a file, mounted, whose power can be cut: a copy of the file has what had reached the device, and nothing
 * of what was only in the memory of the file system. A device that loses what it has acknowledged cannot be had so.
 */
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

const runFile = promisify(execFile);
const DEVICE_BYTES: number = 192 * 1024 * 1024;

export class LoopDisk {
  readonly #directory: string;
  readonly #options: string;
  #cuts = 0;
  readonly #mounted: string[] = [];

  constructor(directory: string, options: string) {
    this.#directory = directory;
    // The journal is written when somebody asks for it, and not by the clock too.
    this.#options = `loop,commit=300,${options}`;
  }

  /** Where it is mounted now. */
  get path(): string {
    return join(this.#directory, `mounted-${this.#cuts}`);
  }

  get #image(): string {
    return join(this.#directory, `image-${this.#cuts}`);
  }

  /** Makes the file system and mounts it. Rejects where that is not allowed or there are no tools. */
  async make(): Promise<void> {
    await writeFile(this.#image, "");
    await truncate(this.#image, DEVICE_BYTES);
    await runFile("mkfs.ext4", ["-q", this.#image]);
    await this.#mount();
  }

  /** The power goes and comes back: from now on `path` is what the device had. */
  async cutPower(): Promise<void> {
    const before = this.#image;
    this.#cuts += 1;
    await copyFile(before, this.#image);
    await this.#mount();
  }

  async remove(): Promise<void> {
    for (const path of this.#mounted.toReversed()) await runFile("umount", ["-l", path]);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #mount(): Promise<void> {
    await mkdir(this.path);
    await runFile("mount", ["-o", this.#options, this.#image, this.path]);
    this.#mounted.push(this.path);
  }
}

/** A disk for one test. Undefined when it cannot be had here: then the test has been skipped. */
export async function loopDisk(
  context: TestContext,
  options: string,
): Promise<LoopDisk | undefined> {
  const disk = new LoopDisk(await mkdtemp(join(tmpdir(), "holdfast-power-")), options);
  context.after(() => disk.remove());
  try {
    await disk.make();
    return disk;
  } catch {
    context.skip("this machine cannot make an ext4 in a file and mount it");
    return undefined;
  }
}
