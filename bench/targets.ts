/**
 * What the figures are held against: the floor to ship at, and the aim.
 */

import type { Result } from "./job.ts";

/** Bounds of a metric; lower is better for all but records per second, unless it says something else. */
export interface Target {
  readonly floor: number;
  readonly aim: number;
  readonly better?: "higher";
  /** The bounds are of the ratio to the control, of several the worst one. */
  readonly of?: "ratio";
}

type Targets = Readonly<Record<string, Readonly<Record<string, Target>>>>;

const rate = "records per second";
const cpu = "CPU per million records";

/** A bound that is floor and aim at once. */
function atLeast(bound: number, of?: "ratio"): Target {
  return { floor: bound, aim: bound, better: "higher", ...(of === undefined ? {} : { of }) };
}

function atMost(bound: number, of?: "ratio"): Target {
  return { floor: bound, aim: bound, ...(of === undefined ? {} : { of }) };
}

/** By name and metric of a result. */
export const targets: Targets = {
  "log/2 connections": {
    [rate]: { floor: 3_000_000, aim: 8_000_000 },
    [cpu]: { floor: 0.3, aim: 0.13 },
  },
  "receive/http, 1,000 records a request, 4 connections": { [rate]: atLeast(400_000) },
  "receive/mqtt, QoS 1, 100 publishers at mosquitto": { [rate]: atLeast(30_000) },
  "receive/kafka, 4 partitions": { [rate]: atLeast(250_000) },
  "receive/http, 1 record a request, 32 connections": { [rate]: atLeast(8_000) },
  "receive/websocket, 4 connections": { [rate]: atLeast(150_000) },
  "receive/mqtt-listener, QoS 1, 100 clients, 20 under way": { [rate]: atLeast(30_000) },
  "raw/2 connections": {
    [rate]: { floor: 1_000_000, aim: 4_000_000 },
    [cpu]: { floor: 0.8, aim: 0.25 },
    "peak RSS": { floor: 120, aim: 90 },
  },
  "json/2 connections": {
    [rate]: { floor: 600_000, aim: 950_000 },
    [cpu]: { floor: 1.8, aim: 1.1 },
  },
  "sqlite/2 connections": {
    [rate]: { floor: 300_000, aim: 550_000 },
    [cpu]: { floor: 3, aim: 1.9 },
  },
  "latency/log": { "acknowledgement p99": { floor: 5, aim: 2 } },
  "latency/sqlite": {
    "acknowledgement p99": { floor: 5, aim: 2 },
    "row visible p99": { floor: 20, aim: 8 },
  },
  "paced/sqlite": { CPU: { floor: 12, aim: 6 } },
  "idle/gateway": { CPU: { floor: 0.5, aim: 0.5 } },
  "start/empty directory": { "start to first acknowledgement": { floor: 300, aim: 150 } },
  "start/existing directory": { "start to first acknowledgement": { floor: 300, aim: 150 } },
  "memory/idle gateway": { RSS: { floor: 90, aim: 70 } },
  "memory/long raw run": { "growth between them": { floor: 10, aim: 10 } },
  "memory/stalled sink": { "added by the stall": { floor: 32, aim: 32 } },
  "supervision/messages": { "messages per second": atLeast(2_000_000) },
  "supervision/messages, 1 ms of other work per turn": { "messages per second": atLeast(100_000) },
  "supervision/crash with 100,000 queued": { "crash to serving p99": atMost(1) },
  "supervision/idle": { heap: atMost(2_500) },
  "supervision/full mailbox": { tell: atMost(1_000) },
  "wal-groups/1 MiB": { written: atLeast(0.7, "ratio") },
  "wal-groups/8 MiB": { written: atLeast(0.9, "ratio") },
  "wal-stores/1,000 records": { [rate]: atLeast(5, "ratio") },
  "wal-stores/100 records": { [rate]: atLeast(2, "ratio") },
  "wal-code/append of single records": { "CPU per record": atMost(150) },
  "wal-code/blocks from framing": { "CPU per record": atMost(25) },
  "wal-latency/one producer": { "acknowledgement p50": atMost(1.2, "ratio") },
  "wal-latency/1,000 producers": { [rate]: atLeast(50, "ratio") },
  "wal-open/after kill -9": {
    "time to open, cached": atMost(1000),
    "time to open, not cached": atMost(1000),
    "peak RSS of the process": atMost(64),
  },
  "wal-tail/1 MiB at a time": { read: atLeast(1) },
  "wal-tail/in one go": { read: atLeast(1) },
  "wal-idle/after a burst": {
    "writes in 10 s": atMost(1),
    "writes after the witness": atMost(0),
    "timers after the witness": atMost(0),
  },
  "fleet/refusing, 1 connection each": {
    "connects while away, most": atMost(25),
    "gateways back in 100 ms": atMost(5),
    "connects in 100 ms after the return": atMost(5),
    "back in service, p99": atMost(5),
  },
  "fleet/refusing, 4 connections each": {
    "connects while away, most": atMost(25),
    "gateways back in 100 ms": atMost(5),
    "back in service, p99": atMost(5),
  },
};

/**
 * Whether a result is at the aim, at the floor, or below it; undefined for a metric without a target, and where
 * a ratio is wanted and there is none.
 */
export function standing(
  result: Pick<Result, "name" | "metric" | "value" | "controlRatio" | "controlRatios">,
): "aim" | "floor" | "below" | undefined {
  const { metric, name } = result;
  const target = targets[name]?.[metric];
  if (target === undefined) return undefined;
  const isHigherBetter = metric === rate || target.better === "higher";
  const value = target.of === "ratio" ? worstRatio(result, isHigherBetter) : result.value;
  if (value === undefined) return undefined;
  const reaches = (bound: number): boolean => (isHigherBetter ? value >= bound : value <= bound);
  if (reaches(target.aim)) return "aim";
  return reaches(target.floor) ? "floor" : "below";
}

function worstRatio(
  { controlRatio, controlRatios = {} }: Pick<Result, "controlRatio" | "controlRatios">,
  isHigherBetter: boolean,
): number | undefined {
  const ratios = controlRatio === undefined ? Object.values(controlRatios) : [controlRatio];
  if (ratios.length === 0) return undefined;
  return isHigherBetter ? Math.min(...ratios) : Math.max(...ratios);
}
