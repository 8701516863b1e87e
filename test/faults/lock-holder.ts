/**
 * A process of its own that holds a SQLite file: `node lock-holder.js FILE`. It says `locked` and waits to be killed,
 * which frees the lock as it does when a backup is interrupted.
 */
import { openSqlite } from "../support/sqlite-reader.ts";

/** Longest that nobody kills it. */
const lifetimeMs = 120_000;

const [, , path = ""] = process.argv;
const database = await openSqlite(path, { readOnly: false });
database.exec("PRAGMA busy_timeout = 10000");
database.exec("BEGIN EXCLUSIVE");
process.stdout.write("locked\n");
setTimeout(() => database.close(), lifetimeMs);
