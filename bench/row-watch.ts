/**
 * When rows become visible to another connection of the database.
 */
import { pause } from "../test/support/deadline.ts";
import { openSqlite, type SqliteReader } from "../test/support/sqlite-reader.ts";

/** The table is looked at this often: latencies are up to this much too long. */
const lookEveryMs = 1;
const tableWaitMs = 20;
/** The generator stamps microseconds since 1970 modulo this into 13 digits from byte 23 on. */
const timeModulusUs = 10_000_000_000_000;
const timeAt = 24;
const timeDigits = 13;
const newRows = `SELECT rowid AS row, CAST(substr(body, ${timeAt}, ${timeDigits}) AS INTEGER) AS at FROM readings WHERE rowid > ? ORDER BY rowid`;

/** Latencies in ms from the generator's stamp to the look that saw the row, of rows stamped after `fromMs` wall time. */
export async function watchRows(
  path: string,
  from: { readonly wallMs: number },
  stop: AbortSignal,
): Promise<readonly number[]> {
  const wallMs = alignedClock();
  const database = await openWhenThere(path, stop);
  if (database === undefined) return [];
  const latencies: number[] = [];
  try {
    const news = database.prepare(newRows);
    let last = -1;
    while (!stop.aborted) {
      const rows = news.all(last);
      const nowMs = wallMs();
      const late = rows.map(({ at }) => (((nowMs * 1000) % timeModulusUs) - Number(at)) / 1000);
      latencies.push(...late.filter((latencyMs) => nowMs - latencyMs >= from.wallMs));
      last = Number(rows.at(-1)?.["row"] ?? last);
      await pause(lookEveryMs, stop);
    }
  } finally {
    database.close();
  }
  return latencies.toSorted((left, right) => left - right);
}

/** The sink makes file and table when it opens. */
async function openWhenThere(path: string, stop: AbortSignal): Promise<SqliteReader | undefined> {
  while (!stop.aborted) {
    const database = await openSqlite(path).catch(() => undefined);
    if (database !== undefined && hasTable(database)) return database;
    database?.close();
    await pause(tableWaitMs, stop);
  }
  return undefined;
}

function hasTable(database: SqliteReader): boolean {
  return (
    database.prepare("SELECT 1 AS there FROM sqlite_schema WHERE name = 'readings'").all().length >
    0
  );
}

/** Wall time in ms with fractions, in step with the system's clock to some microseconds. */
function alignedClock(): () => number {
  const tick = Date.now();
  let now = Date.now();
  while (now === tick) now = Date.now();
  const offsetMs = now - performance.now();
  return () => offsetMs + performance.now();
}
