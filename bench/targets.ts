/**
 * What the figures are held against: the floor to ship at, and the aim.
 */

/** Bounds of a metric; lower is better for all but rates and ratios. */
export interface Target {
  readonly floor: number;
  readonly aim: number;
}

type Targets = Readonly<Record<string, Readonly<Record<string, Target>>>>;

const rate = "records per second";
const cpu = "CPU per million records";

/** By name and metric of a result. */
export const targets: Targets = {
  "log/2 connections": {
    [rate]: { floor: 3_000_000, aim: 8_000_000 },
    [cpu]: { floor: 0.3, aim: 0.13 },
  },
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
};

/** Whether a value is at the aim, at the floor, or below it; undefined for a metric without a target. */
export function standing(
  name: string,
  metric: string,
  value: number,
): "aim" | "floor" | "below" | undefined {
  const target = targets[name]?.[metric];
  if (target === undefined) return undefined;
  const reaches = (bound: number): boolean => (metric === rate ? value >= bound : value <= bound);
  if (reaches(target.aim)) return "aim";
  return reaches(target.floor) ? "floor" : "below";
}
