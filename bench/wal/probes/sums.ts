import { crc32 } from "node:zlib";
import { loadPeer } from "../peers.ts";

/** What makes the checksum. */
export interface SumOptions {
  readonly sum: "zlib.crc32" | "@node-rs/crc32" | "xxhash-wasm";
  readonly bytes: number;
  readonly calls: number;
}

export interface SumNumbers {
  readonly usPerCall: number;
}

const seed = 0x1234_5678;
const warmupShare = 0.2;

/** Sums of one length over a buffer that is in the processor's cache, as an entry just filled is. */
export async function sums({ bytes, calls, sum }: SumOptions): Promise<SumNumbers> {
  const work = await sumOf(sum);
  const buffer = Buffer.alloc(bytes, 0x61);
  for (let call = 0; call < calls * warmupShare; call += 1) work(buffer);
  const startMs = performance.now();
  for (let call = 0; call < calls; call += 1) work(buffer);
  return { usPerCall: ((performance.now() - startMs) * 1000) / calls };
}

async function sumOf(sum: SumOptions["sum"]): Promise<(buffer: Buffer) => unknown> {
  switch (sum) {
    case "zlib.crc32":
      return (buffer) => crc32(buffer, seed);
    case "@node-rs/crc32": {
      // Decode boundary: what version 1 documents.
      const native = loadPeer("@node-rs/crc32") as {
        readonly crc32: (buffer: Buffer, seed: number) => number;
      };
      return (buffer) => native.crc32(buffer, seed);
    }
    case "xxhash-wasm": {
      // Decode boundary: what version 1 documents.
      const load = loadPeer("xxhash-wasm") as () => Promise<{
        readonly h64Raw: (buffer: Buffer, seed: bigint) => bigint;
      }>;
      const { h64Raw } = await load();
      const wide = BigInt(seed);
      return (buffer) => h64Raw(buffer, wide);
    }
  }
}
