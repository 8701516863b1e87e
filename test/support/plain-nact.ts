/**
 * nact as it is published, for tests that show what it does by itself. What `src/actor/nact-shell.ts` uses of it is
 * less on purpose.
 */
import { spawnSync } from "node:child_process";
import * as module from "nact";
import { realClock } from "../../src/host/clock.ts";
import { repositoryRoot } from "./repository.ts";

/** Opaque: what nact gives for an actor. */
export interface NactReference {
  readonly name: string;
}

/** What nact answers a crash with; each is a symbol on the context. */
type NactAction = symbol;

/** What a handler of nact gets; the actions and the mailbox only in `onCrash`. */
export interface NactContext {
  readonly self: NactReference;
  readonly children: ReadonlyMap<string, NactReference>;
  readonly mailbox: readonly unknown[];
  readonly stop: NactAction;
  readonly reset: NactAction;
  readonly resetAll: NactAction;
  readonly resume: NactAction;
  readonly escalate: NactAction;
}

type OnCrash = (
  message: unknown,
  error: unknown,
  context: NactContext,
  child: NactReference | undefined,
) => NactAction;

/** Options of an actor. */
interface NactProperties {
  readonly onCrash?: OnCrash;
  readonly initialState?: unknown;
  readonly initialStateFunc?: (context: NactContext) => unknown;
  readonly afterStop?: (state: unknown, context: NactContext) => unknown;
  readonly shutdownAfter?: number;
}

type NactHandler = (state: unknown, message: unknown, context: NactContext) => unknown;
type Spawn = (
  parent: NactReference,
  handle: NactHandler,
  name?: string,
  properties?: NactProperties,
) => NactReference;

/** The functions of nact that the tests call, in our own words: its types accept any reference anywhere. */
export interface PlainNact {
  readonly start: (options: { readonly name: string }) => NactReference;
  readonly spawn: Spawn;
  readonly spawnStateless: (
    parent: NactReference,
    handle: (message: unknown, context: NactContext) => unknown,
    name: string,
    properties: NactProperties,
  ) => NactReference;
  readonly dispatch: (reference: NactReference, message: unknown) => void;
  readonly query: (
    reference: NactReference,
    message: (sender: NactReference) => unknown,
    timeoutMs: number,
  ) => Promise<unknown>;
  readonly stop: (reference: NactReference) => void;
}

/** The library itself. */
export const plainNact: PlainNact = module as unknown as PlainNact;

let systemCount = 0;

/** A nact system of its own; nact finds systems by name, process-wide. */
export function nactSystem(): NactReference {
  systemCount++;
  return plainNact.start({ name: `plain-${systemCount}` });
}

/** Lets so many turns of the event loop pass. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await realClock.yield();
}

/** Longest that a script may take. */
const SCRIPT_MS_MAX = 60_000;

/** Runs a module in a process of its own, where `import "nact"` works; how it ended and what it wrote. */
export function runScript(source: string): { readonly code: number; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", source],
    { cwd: repositoryRoot(), encoding: "utf8", timeout: SCRIPT_MS_MAX },
  );
  return { code: status ?? -1, output: `${stdout}${stderr}` };
}
