/**
 * Making one connection: its deadline, the check while the endpoint is not trusted, and what comes too late.
 */
import { HoldfastError } from "../errors.ts";
import type { Attempt, Governor } from "./governor.ts";
import { destroyQuietly } from "./members.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { stalled } from "./pool-errors.ts";
import { within } from "./within.ts";

/** What is heard of one connection from its making on. */
export interface Line {
  /** Why it broke, from the first time on. */
  broken: Error | undefined;
  /** Called when it breaks, once there is somebody to call. */
  onBroke: ((cause: Error) => void) | undefined;
}

/** A connection that was made. */
export interface Opened<C> {
  readonly connection: C;
  readonly line: Line;
}

/** A connect and those who hear of it. */
export interface Opening<C> {
  readonly options: ResolvedPoolOptions<C>;
  readonly governor: Governor;
  readonly attempt: Attempt;
  /** The pool ends. */
  readonly signal: AbortSignal;
  /** A connection came although the connect was given up; false: it is not wanted. */
  readonly late: (opened: Opened<C>) => boolean;
}

/**
 * Connects. Rejects when there is no connection that can be used, and leaves none open then. The attempt keeps its place
 * with the governor, unless it was given up at its deadline.
 */
export async function openConnection<C>(opening: Opening<C>): Promise<Opened<C>> {
  const { options, governor, attempt, signal } = opening;
  const { connector, clock, connectDeadlineMs } = options;
  const line: Line = { broken: undefined, onBroke: undefined };
  const connection = await within({
    clock,
    signal,
    deadlineMs: connectDeadlineMs,
    call: (inner) => connector.connect(governor.address, inner, (cause) => breakLine(line, cause)),
    expired: () => stalled("connection", connectDeadlineMs, governor.address),
    late: {
      begin: () => governor.abandon(attempt),
      end: (late) => {
        governor.endLate();
        if (late === undefined) return;
        if (line.broken !== undefined || !opening.late({ connection: late, line }))
          destroyQuietly(connector, late);
      },
    },
  });
  await activate({ connection, line }, opening);
  return { connection, line };
}

/** A connection of an endpoint that is not trusted has to answer once before it counts. */
async function activate<C>(
  { connection, line }: Opened<C>,
  { options, governor, signal }: Opening<C>,
): Promise<void> {
  const { connector, clock, checkDeadlineMs } = options;
  try {
    if (governor.status !== "up" && connector.check !== undefined)
      await within({
        clock,
        signal,
        deadlineMs: checkDeadlineMs,
        call: async (inner) => await connector.check?.(connection, inner),
        expired: () => stalled("answer to a check", checkDeadlineMs, governor.address),
      });
    signal.throwIfAborted();
    if (line.broken !== undefined) throw line.broken;
  } catch (cause) {
    destroyQuietly(connector, connection);
    throw cause;
  }
}

function breakLine(line: Line, cause: unknown): void {
  if (line.broken !== undefined) return;
  line.broken =
    cause instanceof Error
      ? cause
      : new HoldfastError("CONNECTION_FAILED", `the connection broke: ${String(cause)}`, { cause });
  line.onBroke?.(line.broken);
}
