import { statSync } from "node:fs";
import { databasePathOf } from "../../test/support/gateway-example.ts";
import { sqliteTable } from "../configurations.ts";
import { type Job, scaled } from "../job.ts";
import { recordBytes } from "../load.ts";
import { measureThroughput } from "../throughput.ts";
import { verifyTable } from "../verify.ts";

const count = 1_000_000;

/**
 * A row holds the body and a little more, so the file is at least this long when it is nearly done. The console
 * decides when it is done: asking it earlier only costs the program a little.
 */
const databaseBytes = (rows: number): number => rows * recordBytes;

/** Parse, six columns, committed with the position in one transaction. */
export const sqlite: Job = {
  name: "sqlite",
  title: "TCP -> log -> JSON parse -> SQLite, six columns, durable",
  variants: [
    {
      name: "sqlite/2 connections",
      run: (context) => {
        const sent = scaled(context, count);
        return measureThroughput({
          configuration: sqliteTable,
          count: sent,
          connections: 2,
          output: {
            progress: (place) => sizeOf(databasePathOf(place)) / databaseBytes(sent),
            verify: (place) =>
              verifyTable(databasePathOf(place), { count: sent, wanted: () => true }),
          },
        });
      },
    },
  ],
};

/** The database with its write-ahead log: rows are in the latter until a checkpoint. */
function sizeOf(path: string): number {
  return [path, `${path}-wal`].reduce(
    (sum, each) => sum + (statSync(each, { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}
