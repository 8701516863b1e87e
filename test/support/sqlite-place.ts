/** A temporary directory with one database, and the sessions that are open on it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sink, SinkSession } from "../../src/contract/sink.ts";
import { realFiles } from "../../src/host/real-files.ts";
import { SinkPipeline } from "./sink-batch.ts";
import { openSqlite, type SqlRow } from "./sqlite-reader.ts";

export class SqlitePlace {
  readonly directory: string;
  readonly file: string;
  readonly pipeline: SinkPipeline = new SinkPipeline(realFiles);
  readonly #sessions: SinkSession<never>[] = [];

  private constructor(directory: string) {
    this.directory = directory;
    this.file = join(directory, "readings.db");
  }

  static async make(): Promise<SqlitePlace> {
    return new SqlitePlace(await mkdtemp(join(tmpdir(), "holdfast-sqlite-")));
  }

  /** Opens a session that is closed with the place. */
  async open(sink: Sink<never>): Promise<SinkSession<never>> {
    const session = await this.pipeline.open(sink);
    this.#sessions.push(session);
    return session;
  }

  async query(sql: string): Promise<readonly SqlRow[]> {
    const database = await openSqlite(this.file);
    try {
      // Plain objects: the driver's have no prototype.
      return database
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    } finally {
      database.close();
    }
  }

  async execute(sql: string): Promise<void> {
    const database = await openSqlite(this.file, { readOnly: false });
    database.exec(sql);
    database.close();
  }

  async remove(): Promise<void> {
    const signal = new AbortController().signal;
    for (const session of this.#sessions.splice(0)) await session.close(signal);
    await rm(this.directory, { recursive: true, force: true });
  }
}
