import { join } from "node:path";
import { buildBlock } from "../../../src/record/block-builder.ts";
import { openBenchLog, origin, recycle, releaseAll } from "../bench-log.ts";
import { linesBlock, walRecordBytes } from "../blocks.ts";
import { loadPeer } from "../peers.ts";

/** Durable commits, one after the other. */
export interface StoreOptions {
  readonly directory: string;
  readonly store: "log" | "log, records" | "better-sqlite3" | "lmdb" | "classic-level";
  readonly recordsPerCommit: number;
  readonly seconds: number;
}

export interface StoreNumbers {
  readonly recordsPerSecond: number;
  readonly cpuNsPerRecord: number;
}

/** A store that takes a commit's records: durable when it resolves. */
interface Store {
  commit(): Promise<void> | void;
  close(): Promise<void> | void;
}

const warmupShare = 0.25;
const segmentBytes: number = 16 * 1024 * 1024;

/** Commits for some seconds, after a quarter of that to get warm. */
export async function stores(options: StoreOptions): Promise<StoreNumbers> {
  const store = await openStore(options);
  await commitFor(store, options.seconds * warmupShare);
  const cpuBefore = process.cpuUsage();
  const { commits, seconds } = await commitFor(store, options.seconds);
  const cpu = process.cpuUsage(cpuBefore);
  await store.close();
  const records = commits * options.recordsPerCommit;
  return {
    recordsPerSecond: records / seconds,
    cpuNsPerRecord: ((cpu.user + cpu.system) * 1000) / records,
  };
}

async function commitFor(
  store: Store,
  secondsWanted: number,
): Promise<{ readonly commits: number; readonly seconds: number }> {
  const startMs = performance.now();
  let commits = 0;
  let seconds = 0;
  while (seconds < secondsWanted) {
    await store.commit();
    commits += 1;
    seconds = (performance.now() - startMs) / 1000;
  }
  return { commits, seconds };
}

/** The records of a commit, the same for every store. */
function recordsOf({ recordsPerCommit }: StoreOptions): readonly Buffer[] {
  return Array.from({ length: recordsPerCommit }, (_, index) =>
    Buffer.alloc(walRecordBytes, 0x61 + (index % 26)),
  );
}

async function openStore(options: StoreOptions): Promise<Store> {
  switch (options.store) {
    case "log":
    case "log, records":
      return await openOwn(options);
    case "better-sqlite3":
      return openSqlite(options);
    case "lmdb":
      return openLmdb(options);
    case "classic-level":
      return await openLevel(options);
  }
}

/** `log` takes a block as a receiver of lines has it, `log, records` builds it from single values each time. */
async function openOwn(options: StoreOptions): Promise<Store> {
  const { log } = await openBenchLog({ directory: options.directory, segmentBytes });
  await recycle(log, segmentBytes);
  const ready = linesBlock(options.recordsPerCommit);
  const inputs = recordsOf(options).map((value) => ({ value }));
  return {
    async commit(): Promise<void> {
      await log.append(options.store === "log" ? ready : buildBlock(inputs), origin);
      releaseAll(log);
    },
    close: () => log.close(),
  };
}

/** What is used of better-sqlite3. */
interface SqliteDatabase {
  pragma(text: string): unknown;
  exec(sql: string): unknown;
  prepare(sql: string): { run(value: Buffer): unknown };
  transaction(work: () => void): () => void;
  close(): void;
}

function openSqlite(options: StoreOptions): Store {
  // Decode boundary: the interface above is what version 12 documents.
  const Database = loadPeer("better-sqlite3") as new (path: string) => SqliteDatabase;
  const database = new Database(join(options.directory, "records.db"));
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec("CREATE TABLE records (id INTEGER PRIMARY KEY, value BLOB NOT NULL)");
  const insert = database.prepare("INSERT INTO records (value) VALUES (?)");
  const records = recordsOf(options);
  const commit = database.transaction(() => {
    for (const record of records) insert.run(record);
  });
  return { commit, close: () => database.close() };
}

/** What is used of lmdb. */
interface LmdbDatabase {
  put(key: number, value: Buffer): unknown;
  transactionSync(work: () => void): void;
  readonly flushed: Promise<unknown>;
  close(): Promise<void>;
}

function openLmdb(options: StoreOptions): Store {
  // Decode boundary: the interface above is what version 3 documents.
  const { open } = loadPeer("lmdb") as {
    readonly open: (options: object) => LmdbDatabase;
  };
  const database = open({
    path: join(options.directory, "records"),
    keyEncoding: "uint32",
    encoding: "binary",
    compression: false,
    // A transaction is on the disk when it returns: faster here than waiting for `flushed`.
    overlappingSync: false,
  });
  const records = recordsOf(options);
  let key = 0;
  return {
    commit(): void {
      database.transactionSync(() => {
        for (const record of records) database.put(key++, record);
      });
    },
    close: () => database.close(),
  };
}

/** What is used of classic-level. */
interface LevelDatabase {
  open(): Promise<void>;
  batch(operations: readonly object[], options: { readonly sync: boolean }): Promise<void>;
  close(): Promise<void>;
}

async function openLevel(options: StoreOptions): Promise<Store> {
  // Decode boundary: the interface above is what version 3 documents.
  const { ClassicLevel } = loadPeer("classic-level") as {
    ClassicLevel: new (path: string, options: object) => LevelDatabase;
  };
  const path = join(options.directory, "records");
  const database = new ClassicLevel(path, { keyEncoding: "buffer", valueEncoding: "buffer" });
  await database.open();
  const records = recordsOf(options);
  let key = 0;
  return {
    async commit(): Promise<void> {
      const operations = records.map((value) => {
        const bytes = Buffer.alloc(8);
        bytes.writeUInt32BE(key++, 4);
        return { type: "put", key: bytes, value };
      });
      await database.batch(operations, { sync: true });
    },
    close: () => database.close(),
  };
}
