/**
 * What SQLite's error numbers mean for a sink.
 */
import { type Code, HoldfastError, toError } from "../errors.ts";

/** Low byte of an extended result code. */
const PRIMARY_MASK = 0xff;

const BUSY = 5;
const LOCKED = 6;
const TOO_BIG = 18;
const CONSTRAINT = 19;
const MISMATCH = 20;

interface Meaning {
  readonly code: Code;
  readonly text: string;
  readonly fix: string;
}

const UNWRITABLE: Meaning = {
  code: "DIRECTORY_UNWRITABLE",
  text: "cannot be opened for writing",
  fix: "check that the directory exists and this user may write there",
};
const DAMAGED: Meaning = {
  code: "SINK_TABLE",
  text: "is not a usable SQLite database",
  fix: "move the file away or restore it",
};
const BUSY_MEANING: Meaning = { code: "SINK_BUSY", text: "is locked by another process", fix: "" };

/** By primary result code; everything else may pass by itself. */
const MEANINGS: ReadonlyMap<number, Meaning> = new Map([
  [
    1,
    {
      code: "SINK_TABLE",
      text: "refuses the statement",
      fix: "compare the table with the sink's columns",
    },
  ],
  [3, UNWRITABLE],
  [BUSY, BUSY_MEANING],
  [LOCKED, BUSY_MEANING],
  [8, UNWRITABLE],
  [11, DAMAGED],
  [14, UNWRITABLE],
  [26, DAMAGED],
]);

/** SQLite's primary result code, or undefined for other errors. */
function primaryCode(error: unknown): number | undefined {
  const number = error instanceof Error && "errcode" in error ? error.errcode : undefined;
  return typeof number === "number" ? number & PRIMARY_MASK : undefined;
}

/** Whether a row, and not the store, is to blame for a failed insert. */
export function isRowError(error: unknown): boolean {
  const code = primaryCode(error);
  return code === CONSTRAINT || code === MISMATCH || code === TOO_BIG;
}

/** The error as ours; one that is ours already stays. */
export function sqliteError(sink: string, file: string, thrown: unknown): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  const { message } = toError(thrown);
  const meaning = MEANINGS.get(primaryCode(thrown) ?? 0);
  if (meaning === undefined)
    return new HoldfastError("SINK_FAILED", `${sink}: ${file}: ${message}`, { cause: thrown });
  return new HoldfastError(meaning.code, `${sink}: ${file} ${meaning.text}: ${message}`, {
    cause: thrown,
    fix: meaning.fix,
  });
}
