/**
 * What the current code makes of a data directory, as JSON that can be compared with what another version made of it.
 */
import type { LogFacts } from "../../src/contract/log.ts";
import { lettersOf } from "../../src/dead-letters.ts";
import type { OpenedLedger } from "../../src/wal/ledger.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
import { closeWorld, openLetters, openWorld, readByLog, type World } from "../wal/data-scene.ts";
import type { Scene } from "../wal/log-scene.ts";

/** A log that only a ledger knows of. */
export const OTHER = "other";

/** Opens everything in a scene and says what is there. The scene is changed by it, as by any opening. */
export async function meaningOf(scene: Scene): Promise<string> {
  // Before the log is opened: what that adds is the business of the version that opens it.
  let ledger: unknown;
  const world = await openWorld(scene, undefined, (opened) => {
    ledger = plain(meaningOfLedger(opened));
  });
  const letters = await openLetters(world);
  const { isClean, nextOffset } = world.opened.recovery;
  const read = await readByLog(world);
  const positions = positionsIn(world, read.records);
  const log = plain({ nextOffset, isClean, positions, ...read });
  const meaning = { ledger, log, letters: plain(await lettersIn(letters)) };
  await letters.log.close();
  await closeWorld(world);
  return `${JSON.stringify(meaning, null, 1)}\n`;
}

function meaningOfLedger(ledger: OpenedLedger): unknown {
  const checkpoints = ledger.pipelines().map((name) => [name, ledger.checkpoint(name)] as const);
  const factsOf = ({ cuts, floor, gaps, nextOffsetMin }: LogFacts): unknown => ({
    cuts,
    floor,
    gaps,
    nextOffsetMin,
  });
  return {
    recovery: ledger.recovery,
    epoch: ledger.epoch,
    pipelines: Object.fromEntries(checkpoints),
    log: factsOf(ledger.facts("log")),
    letters: factsOf(ledger.facts("dead-letters")),
    [OTHER]: factsOf(ledger.facts(OTHER)),
  };
}

function positionsIn(
  { opened }: World,
  records: readonly { readonly receiver: string; readonly channel: string }[],
): unknown {
  const found = records.flatMap(({ receiver, channel }) => {
    const position = opened.log.position(receiver, channel);
    return position === undefined ? [] : [[`${receiver}/${channel}`, position] as const];
  });
  return Object.fromEntries(found);
}

async function lettersIn({ log }: OpenedLog): Promise<unknown> {
  const letters: unknown[] = [];
  const span = { from: log.status().oldestOffset, to: log.durableEnd };
  for await (const item of log.read(span, new AbortController().signal))
    letters.push(...(item.kind === "gap" ? [item] : lettersOf(item.block).map(plain)));
  return letters;
}

/** Plain JSON: bytes as hex, now and not when the buffer holds something else. */
function plain(value: unknown): unknown {
  const replaced = JSON.stringify(value, (_key, field: unknown) =>
    field instanceof Uint8Array ? Buffer.from(field).toString("hex") : field,
  );
  return JSON.parse(replaced);
}
