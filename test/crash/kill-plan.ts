/**
 * When each incarnation of the program dies. Moments are counts of acknowledgements and things that the program
 * does wherever that is possible; the short delays that remain only vary where in its start or stop it is hit.
 */
import type { SeededRandom } from "../../src/testing/seeded-random.ts";

/** One way to die. */
export type Kill =
  | { readonly kind: "at-acknowledgements"; readonly count: number }
  | { readonly kind: "at-written-rows"; readonly count: number }
  | { readonly kind: "while-starting"; readonly delayMs: number }
  | { readonly kind: "at-first-line" }
  | { readonly kind: "while-stopping"; readonly count: number; readonly delayMs: number };

/** Most records that are acknowledged between a start and its kill. */
const acknowledgementsMax = 3_000;
/** Most rows that the sinks have committed since a start: at these, several batches are behind it and one is under way. */
const writtenRowsMax = 10_000;
/** A start takes about this long, so that delays below it fall into all of its phases. */
const startDelayMsMax = 400;
const stopDelayMsMax = 120;

/** The next kill: mostly under load, sometimes while starting or stopping. */
export function drawKill(random: SeededRandom): Kill {
  const draw = random.next();
  const count = random.integer(1, acknowledgementsMax);
  if (draw < 0.4) return { kind: "at-acknowledgements", count };
  if (draw < 0.7) return { kind: "at-written-rows", count: random.integer(1, writtenRowsMax) };
  if (draw < 0.85) return { kind: "while-starting", delayMs: random.integer(0, startDelayMsMax) };
  if (draw < 0.9) return { kind: "at-first-line" };
  return { kind: "while-stopping", count, delayMs: random.integer(0, stopDelayMsMax) };
}
