/**
 * CPU and memory of a process and its children, as Linux counts them under /proc.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** Ticks a second in /proc/PID/stat; 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;
const bytesPerKib = 1024;

/** Totals of a process tree. */
export interface Usage {
  /** User and system time of all threads, the ended ones too. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Highest resident memory since the start or the last {@link forgetPeak}. */
  readonly peakBytes: number;
}

/** Reads the totals now. A process that ends meanwhile counts as nothing. */
export function usageOf(pid: number): Usage {
  return [pid, ...childrenOf(pid)].map(usageOfOne).reduce((sum, one) => ({
    cpuSeconds: sum.cpuSeconds + one.cpuSeconds,
    residentBytes: sum.residentBytes + one.residentBytes,
    peakBytes: sum.peakBytes + one.peakBytes,
  }));
}

/** Lets the peak of a process begin anew. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

function childrenOf(pid: number): readonly number[] {
  const direct = read(`/proc/${pid}/task/${pid}/children`)
    .split(" ")
    .filter((text) => text !== "")
    .map(Number);
  return direct.flatMap((child) => [child, ...childrenOf(child)]);
}

function usageOfOne(pid: number): Usage {
  const status = read(`/proc/${pid}/status`);
  return {
    cpuSeconds: cpuSecondsOf(read(`/proc/${pid}/stat`)),
    residentBytes: kibOf(status, "VmRSS") * bytesPerKib,
    peakBytes: kibOf(status, "VmHWM") * bytesPerKib,
  };
}

/** User and system time from the text of /proc/PID/stat: fields 14 and 15, counted behind the name's last bracket. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

function kibOf(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process ended between two looks.
    return "";
  }
}
