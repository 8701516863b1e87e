/**
 * What a ledger says about a log, read as docs/format.md says it and with no line of src/wal.
 */
import { BLOCK, Bytes, entryAt, padded, saltOf } from "./independent-entry.ts";
import type { Directory, LedgerFacts } from "./independent-reader.ts";

interface JsonFact {
  readonly fact?: string;
  readonly log?: string;
  readonly segmentId: number;
  readonly offset: number;
  readonly endPosition: number;
  readonly endOffset: number;
  readonly to: number;
}

interface JsonSnapshot {
  readonly logs: Readonly<
    Record<string, { floor?: JsonFact; cuts: readonly JsonFact[]; gaps: readonly JsonFact[] }>
  >;
}

/**
 * Reads a ledger's directory for what it says about one log, and the uuid. Undefined when there is no ledger. What
 * pipelines have planned and committed is left out: it matters where the log's own end is lost.
 */
export function readLedger(
  ledger: Directory,
  log: string,
): { readonly uuid: Uint8Array; readonly facts: LedgerFacts } | undefined {
  const newestFirst = [...ledger].toSorted(([left], [right]) => (left < right ? 1 : -1));
  for (const [name, bytes] of newestFirst) {
    const facts = readFile(name, new Bytes(bytes));
    if (facts === undefined) continue;
    const about = facts.filter((fact) => fact.log === log);
    return { uuid: bytes.subarray(16, 32), facts: addUp(about) };
  }
  return undefined;
}

/** The facts of a file, those that its SNAPSHOT stands for first; undefined when it has none. */
function readFile(name: string, file: Bytes): readonly JsonFact[] | undefined {
  const id = Number.parseInt(name.slice("ledger-".length), 16);
  const segment = { id, salt: saltOf(id, file.bytes.subarray(16, 32)) };
  const snapshot = entryAt(file, BLOCK, segment);
  if (snapshot?.type !== 16 || !snapshot.isWhole) return undefined;
  const state = JSON.parse(file.text(BLOCK + 72, BLOCK + snapshot.bytes)) as JsonSnapshot;
  const facts: JsonFact[] = Object.entries(state.logs).flatMap(([log, { floor, cuts, gaps }]) => [
    ...(floor === undefined ? [] : [{ ...floor, fact: "floor", log }]),
    ...cuts.map((cut) => ({ ...cut, fact: "cut", log })),
    ...gaps.map((gap) => ({ ...gap, fact: "gap", log })),
  ]);
  let count = snapshot.first;
  for (let at = BLOCK + padded(snapshot.bytes, BLOCK); at < file.bytes.length; at += BLOCK) {
    const entry = entryAt(file, at, segment);
    if (entry?.type !== 17 || !entry.isWhole || entry.first < count) continue;
    facts.push(...(JSON.parse(file.text(at + 72, at + entry.bytes)) as JsonFact[]));
    count = entry.first + entry.count;
  }
  return facts;
}

function addUp(facts: readonly JsonFact[]): LedgerFacts {
  const cuts = new Map<number, { position: number; offset: number }>();
  let floor: LedgerFacts["floor"];
  let highestOffset = 0;
  for (const { fact, segmentId, offset, endPosition, endOffset, to } of facts) {
    if (fact === "floor") floor = { segmentId, offset };
    if (fact === "cut") cuts.set(segmentId, { position: endPosition, offset: endOffset });
    highestOffset = Math.max(highestOffset, offset ?? 0, endOffset ?? 0, to ?? 0);
  }
  return { floor, cuts, highestOffset };
}
