/**
 * Options of a pool, with their defaults and limits in one place.
 */
import { NAME_PATTERN } from "../contract/name.ts";
import type { Connector, PoolOptions } from "../contract/pool.ts";
import { HoldfastError, isRetried } from "../errors.ts";
import { realClock, TIMER_MS_MAX } from "../host/clock.ts";
import { realRandom } from "../host/random.ts";
import { watchGarbage } from "./forgotten.ts";
import { nobody } from "./telling.ts";

/** Options with nothing left open. `isPermanent` is the connector's, or the table of codes. */
export type ResolvedPoolOptions<C> = Readonly<Required<PoolOptions<C>>> & {
  readonly isPermanent: (error: Error) => boolean;
};

/** What holds where an option is absent. */
export const POOL_DEFAULTS: Omit<
  ResolvedPoolOptions<never>,
  "name" | "connector" | "addresses" | "isPermanent"
> = Object.freeze({
  connectionsMax: 10,
  connectionsMin: 0,
  waitersMax: 1_000,
  acquireDeadlineMs: 30_000,
  connectDeadlineMs: 5_000,
  checkDeadlineMs: 2_000,
  closeDeadlineMs: 2_000,
  aliveWindowMs: 500,
  lifetimeMs: 1_800_000,
  idleTimeoutMs: 600_000,
  progressDeadlineMs: 10_000,
  leakAfterMs: 60_000,
  onEvent: nobody,
  clock: realClock,
  random: realRandom,
  forgotten: watchGarbage,
});

/** How long `close` of a pool waits for leases when nothing is said. */
export const CLOSE_DEADLINE_MS = 5_000;

/** Endpoints of one pool: each is probed on its own. */
const ADDRESSES_MAX = 16;
/** Each is looked at when one is chosen. */
const CONNECTIONS_MAX = 1_000;
const WAITERS_MAX = 1_000_000;

/** Fills the defaults in and checks ranges and combinations. @throws CONFIG_OUT_OF_RANGE, CONFIG_VALUE, CONFIG_CONFLICT */
export function resolvePoolOptions<C>(options: PoolOptions<C>): ResolvedPoolOptions<C> {
  const { connector } = options;
  const resolved: ResolvedPoolOptions<C> = {
    ...POOL_DEFAULTS,
    ...options,
    addresses: Object.freeze([...options.addresses]),
    isPermanent: (error) => isPermanent(connector, error),
  };
  if (!NAME_PATTERN.test(resolved.name))
    throw new HoldfastError(
      "CONFIG_VALUE",
      `pool name ${JSON.stringify(resolved.name)} does not match [a-z][a-z0-9-]{0,62}`,
    );
  checkAddresses(resolved);
  checkNumbers(resolved);
  checkCombinations(resolved);
  return Object.freeze(resolved);
}

/** A connector that cannot judge an error has its endpoint tried again. */
function isPermanent<C>(connector: Connector<C>, error: Error): boolean {
  try {
    return connector.isPermanent?.(error) ?? !isRetried(error);
  } catch {
    return false;
  }
}

function checkAddresses({ name, addresses }: ResolvedPoolOptions<unknown>): void {
  if (addresses.length < 1 || addresses.length > ADDRESSES_MAX)
    throw outOfRange(`${name}: ${addresses.length} addresses, allowed are 1 to ${ADDRESSES_MAX}`);
  const twice = addresses.find((address, index) => addresses.indexOf(address) !== index);
  if (twice !== undefined)
    throw new HoldfastError("CONFIG_CONFLICT", `${name}: the address ${twice} is there twice`);
}

function checkNumbers(resolved: ResolvedPoolOptions<unknown>): void {
  const { connectionsMax } = resolved;
  checkCount(resolved, "connectionsMax", [1, CONNECTIONS_MAX]);
  checkCount(resolved, "connectionsMin", [0, connectionsMax]);
  checkCount(resolved, "waitersMax", [1, WAITERS_MAX]);
  for (const key of [
    "acquireDeadlineMs",
    "connectDeadlineMs",
    "checkDeadlineMs",
    "closeDeadlineMs",
  ] as const)
    checkMs(resolved, key, false);
  for (const key of [
    "aliveWindowMs",
    "lifetimeMs",
    "idleTimeoutMs",
    "progressDeadlineMs",
    "leakAfterMs",
  ] as const)
    checkMs(resolved, key, true);
}

/** What each on its own allows and together cannot be. */
function checkCombinations(resolved: ResolvedPoolOptions<unknown>): void {
  const { name, addresses, connectionsMax, connectionsMin, lifetimeMs } = resolved;
  if (addresses.length > 1 && connectionsMax < 2)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `${name}: connectionsMax is ${connectionsMax} with ${addresses.length} addresses: one connection more is needed to probe the preferred one`,
      { fix: "set connectionsMax to 2 or more" },
    );
  if (lifetimeMs < Infinity && connectionsMin === connectionsMax)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `${name}: connectionsMin and connectionsMax are both ${connectionsMax}: there is no room to replace a connection before it is retired`,
      { fix: "raise connectionsMax by one, or set lifetimeMs to Infinity" },
    );
}

type CountKey = "connectionsMax" | "connectionsMin" | "waitersMax";
type MsKey = Exclude<
  keyof { [K in keyof typeof POOL_DEFAULTS as K extends `${string}Ms` ? K : never]: 0 },
  never
>;

function checkCount(
  resolved: ResolvedPoolOptions<unknown>,
  key: CountKey,
  [min, max]: readonly [number, number],
): void {
  const value = resolved[key];
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw outOfRange(`${resolved.name}: ${key} is ${value}, allowed are ${min} to ${max}`);
}

function checkMs(
  resolved: ResolvedPoolOptions<unknown>,
  key: MsKey,
  isNeverAllowed: boolean,
): void {
  const value = resolved[key];
  if (value >= 0 && value <= TIMER_MS_MAX) return;
  if (isNeverAllowed && value === Infinity) return;
  const never = isNeverAllowed ? ", and Infinity" : "";
  throw outOfRange(
    `${resolved.name}: ${key} is ${value}, allowed are 0 to ${TIMER_MS_MAX}${never}`,
  );
}

function outOfRange(message: string): HoldfastError {
  return new HoldfastError("CONFIG_OUT_OF_RANGE", message);
}
