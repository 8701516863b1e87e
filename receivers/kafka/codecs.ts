/**
 * Compression: how batches that producers compressed are read. gzip is Node's. snappy and lz4 are optional packages, zstd is
 * Node's from 22.15 on; each is loaded when the first batch needs it. kafkajs keeps one table of codecs for the process.
 */
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import kafkajs from "kafkajs";
import { codeOf, HoldfastError } from "../../src/errors.ts";

/**
 * Longest batch when it is unpacked: a few bytes can stand for gigabytes. gzip and zstd stop there; snappy and lz4 unpack
 * whole batches only, and one that is longer is refused afterwards.
 */
export const UNPACKED_BYTES_MAX: number = 256 * 1024 * 1024;

type Decompress = (bytes: Buffer) => Promise<Uint8Array>;
type Load = () => Promise<Decompress>;

/** What Node's zlib has in later versions. */
type ZstdDecompress = (
  bytes: Uint8Array,
  options: { readonly maxOutputLength: number },
  done: (cause: Error | null, unpacked: Buffer) => void,
) => void;

/** Decode boundary: a function of that name is Node's own. */
const zstdDecompress =
  "zstdDecompress" in zlib ? (zlib.zstdDecompress as ZstdDecompress) : undefined;

const limits = { maxOutputLength: UNPACKED_BYTES_MAX };

function loadGzip(): Promise<Decompress> {
  const unzip = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.unzip);
  return Promise.resolve((bytes) => unzip(bytes, limits));
}

async function loadSnappy(): Promise<Decompress> {
  const { default: create } = await optional("snappy", "kafkajs-snappy");
  // Decode boundary: a codec of kafkajs, which has no types.
  const made = (create as () => { readonly decompress: Decompress })();
  return (bytes) => made.decompress(bytes);
}

async function loadLz4(): Promise<Decompress> {
  const { decompressFrame } = await optional("lz4", "lz4-napi");
  // Decode boundary: as the package declares it.
  return decompressFrame as Decompress;
}

function loadZstd(): Promise<Decompress> {
  if (zstdDecompress === undefined)
    return Promise.reject(
      new HoldfastError(
        "KAFKA_CODEC_MISSING",
        `a batch is compressed with zstd, which Node ${process.versions.node} cannot read; 22.15 and later can`,
        { fix: "run Holdfast with Node 22.15 or later, or have the topic compressed otherwise" },
      ),
    );
  return Promise.resolve(
    (bytes) =>
      new Promise((resolve, reject) =>
        zstdDecompress(bytes, limits, (cause, unpacked) =>
          cause === null ? resolve(unpacked) : reject(cause),
        ),
      ),
  );
}

/** A package that may not be installed. Its name is a value: nothing looks for it before it is needed. */
async function optional(codec: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const loaded: Readonly<Record<string, unknown>> = await import(name);
    return loaded;
  } catch (cause) {
    throw new HoldfastError(
      "KAFKA_CODEC_MISSING",
      `a batch is compressed with ${codec}, and the package ${name} cannot be loaded: ${codeOf(cause)}`,
      { cause, fix: `npm install ${name}` },
    );
  }
}

/** A codec of kafkajs that unpacks and checks, and loads at its first batch; what failed to load is tried again. */
function codec(name: string, load: Load): { readonly decompress: Decompress } {
  let loading: Promise<Decompress> | undefined;
  const loaded = (): Promise<Decompress> => {
    loading ??= load().catch((cause: unknown) => {
      loading = undefined;
      throw cause;
    });
    return loading;
  };
  return {
    async decompress(bytes) {
      const decompress = await loaded();
      const unpacked = await decompress(bytes).catch((cause: unknown) => {
        throw unreadable(name, cause);
      });
      if (unpacked.length <= UNPACKED_BYTES_MAX)
        return Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.length);
      throw unreadable(name, undefined);
    },
  };
}

function unreadable(name: string, cause: unknown): HoldfastError {
  const why =
    cause === undefined || codeOf(cause) === "ERR_BUFFER_TOO_LARGE"
      ? `unpacks to more than ${UNPACKED_BYTES_MAX} bytes`
      : `cannot be unpacked: ${codeOf(cause)}`;
  return new HoldfastError("KAFKA_FAILED", `a batch compressed with ${name} ${why}`, { cause });
}

const CODECS: ReadonlyMap<
  kafkajs.CompressionTypes,
  { readonly name: string; readonly load: Load }
> = new Map([
  [kafkajs.CompressionTypes.GZIP, { name: "gzip", load: loadGzip }],
  [kafkajs.CompressionTypes.Snappy, { name: "snappy", load: loadSnappy }],
  [kafkajs.CompressionTypes.LZ4, { name: "lz4", load: loadLz4 }],
  [kafkajs.CompressionTypes.ZSTD, { name: "zstd", load: loadZstd }],
]);

/** What kafkajs's table holds: of a codec it brings itself the ability to compress stays. */
interface CodecTable {
  [type: number]: () => object;
}

let isRegistered = false;

/** Puts the codecs into kafkajs's table, once. One that the program has put there itself stays. */
export function registerCodecs(): void {
  if (isRegistered) return;
  isRegistered = true;
  // Decode boundary: kafkajs declares the table as a value of any type.
  const table = kafkajs.CompressionCodecs as CodecTable;
  for (const [type, { name, load }] of CODECS) {
    const brought = broughtBy(table[type]);
    // kafkajs's own gzip unpacks without a limit.
    if ("decompress" in brought && type !== kafkajs.CompressionTypes.GZIP) continue;
    const both = { ...brought, ...codec(name, load) };
    table[type] = () => both;
  }
}

/** What is in the table: a codec that is missing throws when it is asked for. */
function broughtBy(create: (() => object) | undefined): object {
  try {
    return create?.() ?? {};
  } catch {
    // Missing, then.
    return {};
  }
}

/** Codecs of kafkajs's table, as they are asked for. */
interface ReadingCodec {
  decompress(bytes: Buffer): Promise<Buffer>;
}

const UNPACKED = 0;

/**
 * The bytes of a batch that is packed with the codec of this number.
 *
 * @throws KAFKA_CODEC_MISSING, KAFKA_FAILED
 */
export async function unpack(type: number, bytes: Buffer): Promise<Buffer> {
  if (type === UNPACKED) return bytes;
  // Decode boundary: kafkajs declares the table as a value of any type.
  const table = kafkajs.CompressionCodecs as CodecTable;
  const found = broughtBy(table[type]);
  if (!("decompress" in found))
    throw new HoldfastError("KAFKA_FAILED", `a batch has codec ${type}, the last one known is 4`);
  // Decode boundary: it has just been found.
  return await (found as ReadingCodec).decompress(bytes);
}
