/**
 * What `holdfast run` says: where it listens, where data goes, how to try it, how it goes, how it
 * ended. Pure.
 */
import { resolve } from "node:path";
import type { Pipeline } from "../contract/graph.ts";
import type { HealthReason } from "../contract/status.ts";
import type { Endpoint } from "../host/sockets.ts";
import { showCount } from "./render.ts";

/** A receiver and where it listens, if it does. */
export interface ListeningReceiver {
  readonly name: string;
  readonly type: string;
  readonly address: Endpoint | undefined;
  readonly options: unknown;
}

/** What a sink of a running pipeline promises. */
export interface SinkPromise {
  readonly sink: string;
  readonly guarantee: string;
  readonly by: string;
}

/** Everything the first lines say. */
export interface StartFacts {
  readonly version: string;
  /** Working directory: what relative paths count from. */
  readonly workingDirectory: string;
  readonly dataDirectory: string;
  readonly receivers: readonly ListeningReceiver[];
  readonly pipelines: readonly Pipeline[];
  /** By pipeline; one that is missing does not run yet. */
  readonly promises: ReadonlyMap<string, readonly SinkPromise[]>;
  /** What keeps units from running. */
  readonly reasons: readonly HealthReason[];
  readonly console: Endpoint | undefined;
}

/** A record to try it with. */
const SAMPLE = '{"device":"a","temperature":21.5}';

/** The first lines. */
export function startLines(facts: StartFacts): readonly string[] {
  return [
    `holdfast ${facts.version} | data ${resolve(facts.workingDirectory, facts.dataDirectory)}`,
    [...facts.receivers.map(receiverText), ...consoleText(facts.console)].join(" | "),
    ...facts.pipelines.map((pipeline) => pipelineLine(pipeline, facts)),
    ...tryLines(facts.receivers),
  ].filter((line) => line !== "");
}

function receiverText({ name, type, address }: ListeningReceiver): string {
  return address === undefined ? `${name} ${type}` : `${name} ${type} ${hostPort(address)}`;
}

function consoleText(endpoint: Endpoint | undefined): readonly string[] {
  return endpoint === undefined ? [] : [`metrics http://${hostPort(endpoint)}/metrics`];
}

/** `127.0.0.1:9000`, `[::1]:9000`. */
export function hostPort({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function pipelineLine(
  { name, outputs }: Pipeline,
  { promises, reasons, workingDirectory }: StartFacts,
): string {
  const known = promises.get(name);
  if (known === undefined) return notRunning(name, reasons);
  const sinks = outputs.map(({ sink }) => {
    const promise = known.find((each) => each.sink === sink.name);
    const words = promise === undefined ? [] : [promise.guarantee, `(${promise.by})`];
    return [sink.name, ...words, placeOf(sink.settings, workingDirectory)]
      .filter((word) => word !== "")
      .join(" ");
  });
  return `${name} -> ${sinks.join(", ")}`;
}

function notRunning(name: string, reasons: readonly HealthReason[]): string {
  const reason = reasons.find(({ unit }) => unit === `pipelines/${name}`);
  if (reason === undefined) return `${name} is not running yet`;
  // Without an error the code is the unit's status: it waits for a store that does not answer yet.
  if (reason.code === reason.message)
    return `${name} is not running yet: it is ${reason.code}, its sinks are not open`;
  return `${name} is not running yet: ${reason.code}: ${reason.message}`;
}

/** Where a sink writes, if its settings name a file or a directory. */
function placeOf(settings: Readonly<Record<string, unknown>>, workingDirectory: string): string {
  const place = settings["file"] ?? settings["directory"];
  return typeof place === "string" ? resolve(workingDirectory, place) : "";
}

function tryLines(receivers: readonly ListeningReceiver[]): readonly string[] {
  const lines = receivers.flatMap((receiver) =>
    receiver.address === undefined ? [] : tryReceiver(receiver, receiver.address),
  );
  return lines.map((line, index) => `${index === 0 ? "try it: " : "        "}${line}`);
}

/** One-liners for what a line or a POST of JSON reaches; the first needs nothing but Node. */
function tryReceiver(
  { type, options }: ListeningReceiver,
  { host, port }: Endpoint,
): readonly string[] {
  const security = memberOf(options, "tls");
  // Who shows no certificate would be kept out, and nc speaks no TLS: such a line would only mislead.
  if (memberOf(security, "clientCa") !== undefined || (type === "tcp" && security !== undefined))
    return [];
  if (type === "tcp") {
    const text = JSON.stringify(`${SAMPLE}\n`);
    return [
      `node -e 'require("net").connect(${port},"${host}").end(${text}).pipe(process.stdout)'`,
      `echo '${SAMPLE}' | nc -N ${host} ${port}`,
    ];
  }
  if (type !== "http") return [];
  const given = memberOf(options, "path");
  const path = typeof given === "string" ? given : "/records";
  // What the certificate is good for is not this line's question.
  const [insecure, scheme] = security === undefined ? ["", "http"] : ["-k ", "https"];
  return [
    `curl ${insecure}-H 'content-type: application/json' -d '${SAMPLE}' ${scheme}://${hostPort({ host, port })}${path}`,
  ];
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** Counts at one moment. */
export interface Progress {
  readonly atMs: number;
  readonly storedCount: number;
  readonly processedCount: number;
  readonly lagCount: number;
  readonly batchMs: number | undefined;
}

/** How it goes, or undefined when nothing happened since the last line. */
export function statusLine(last: Progress, now: Progress): string | undefined {
  if (now.storedCount === last.storedCount && now.processedCount === last.processedCount)
    return undefined;
  const seconds = Math.max((now.atMs - last.atMs) / 1000, 0.001);
  const perSecond = (now.storedCount - last.storedCount) / seconds;
  const parts = [
    `stored ${showCount(now.storedCount)} (${showRate(perSecond)}/s)`,
    `processed ${showCount(now.processedCount)}`,
    `lag ${showCount(now.lagCount)}`,
    ...(now.batchMs === undefined ? [] : [`batch ${showMs(now.batchMs)} ms`]),
  ];
  return parts.join(" | ");
}

function showRate(perSecond: number): string {
  return perSecond >= 10 || perSecond === 0 ? showCount(perSecond) : perSecond.toFixed(1);
}

function showMs(ms: number): string {
  return ms >= 10 ? showCount(ms) : ms.toFixed(ms < 1 ? 1 : 0);
}

/** How a stop ended. */
export interface StopFacts {
  readonly nextOffset: number;
  readonly notStopped: readonly string[];
  readonly pipelines: readonly {
    readonly pipeline: string;
    readonly batchId: number;
    readonly lagRecords: number;
    readonly finishedParts: number;
  }[];
}

/** The last line. */
export function stopLine({ nextOffset, notStopped, pipelines }: StopFacts): string {
  const parts = pipelines.reduce((sum, each) => sum + each.finishedParts, 0);
  const lag = Math.max(0, ...pipelines.map((each) => each.lagRecords));
  const isOne = pipelines.length === 1;
  const done = [
    "receivers closed",
    ...pipelines.map(({ pipeline, batchId }) =>
      isOne
        ? `batch ${showCount(batchId)} committed`
        : `${pipeline} batch ${showCount(batchId)} committed`,
    ),
    ...(parts === 0 ? [] : [`${showCount(parts)} ${parts === 1 ? "part" : "parts"} finished`]),
    `log at offset ${showCount(nextOffset)}`,
  ];
  const left =
    lag === 0
      ? "Nothing is left to replay."
      : `${showCount(lag)} records are left, the next start goes on with them.`;
  const late = notStopped.length === 0 ? "" : ` Not stopped in time: ${notStopped.join(", ")}.`;
  return `stopping: ${done.join(", ")}. ${left}${late}`;
}
