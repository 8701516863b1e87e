/**
 * Every command of the program, with its help. A command's code is loaded when it is called.
 */
import { COMMON_OPTIONS, type CommandSpec, type OptionSpec } from "./command.ts";

const CONFIG_OPTION: OptionSpec = {
  type: "string",
  short: "c",
  takes: "FILE",
  doc: "configuration that names the data directory (holdfast.yaml; without one ./data)",
};
const DATA_OPTION: OptionSpec = {
  type: "string",
  short: "d",
  takes: "DIR",
  doc: "data directory, instead of a configuration",
};
const JSON_OPTION: OptionSpec = { type: "boolean", doc: "the same as JSON, for programs" };

/** The commands, in the order of help. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "run",
    summary: "start an ingest and stay until it is stopped",
    usage: "[FILE]",
    positionals: { min: 0, max: 1 },
    options: {
      "log-level": {
        type: "string",
        takes: "LEVEL",
        doc: "debug, info, warn, error or silent; warn on a terminal, else info",
      },
    },
    notes: [
      "FILE is holdfast.yaml unless given.",
      "Ctrl-C, SIGTERM or a closed terminal stops between batches; a second one ends at once, and the next start replays.",
    ],
    load: () => import("./run.ts"),
  },
  {
    name: "supervise",
    summary: "run it as a child process that is started again when it fails",
    usage: "[OPTIONS] -- run [FILE] [OPTIONS OF run]",
    positionals: { min: 0, max: Infinity },
    options: {
      attempts: {
        type: "string",
        takes: "COUNT",
        doc: "restarts within the interval, or unlimited (10)",
      },
      within: {
        type: "string",
        takes: "DURATION",
        doc: "the interval; a run of that length counts as new (1h)",
      },
      "backoff-min": { type: "string", takes: "DURATION", doc: "before the first restart (1s)" },
      "backoff-max": { type: "string", takes: "DURATION", doc: "longest wait, doubled up to (1m)" },
    },
    notes: [
      "Ends with the code of run when it stops in order (0), when no restart mends it (64, 65, 78),",
      "when the restarts are used up, and after SIGTERM, SIGINT or SIGHUP. A signal gives 128 and its number.",
      "Signals are passed on: SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2. Under systemd use run itself:",
      "holdfast init --systemd",
    ],
    load: () => import("./supervise.ts"),
  },
  {
    name: "validate",
    summary: "check a configuration and say everything that is wrong with it",
    usage: "[FILE]",
    positionals: { min: 0, max: 1 },
    options: {},
    notes: ["Modules that the file names are loaded; nothing is opened."],
    load: () => import("./validate.ts"),
  },
  {
    name: "init",
    summary: "write a commented configuration that runs as it is",
    usage: "[DIR]",
    positionals: { min: 0, max: 1 },
    options: {
      systemd: {
        type: "boolean",
        doc: "print a systemd unit for the configuration in DIR instead",
      },
    },
    notes: [
      "Writes holdfast.yaml and steps.mjs. Files that are there are left alone.",
      "holdfast init --systemd > holdfast.service; its head says how to install it.",
    ],
    load: () => import("./init.ts"),
  },
  {
    name: "schema",
    summary: "print the JSON Schema of the configuration, for editors",
    usage: "",
    positionals: { min: 0, max: 0 },
    options: {},
    notes: [
      "holdfast schema > holdfast.schema.json, then as first line of holdfast.yaml:",
      "# yaml-language-server: $schema=./holdfast.schema.json",
    ],
    load: () => import("./schema.ts"),
  },
  {
    name: "status",
    summary: "show how the running instance is: units, log, pipelines",
    usage: "",
    positionals: { min: 0, max: 0 },
    options: { config: CONFIG_OPTION, data: DATA_OPTION, json: JSON_OPTION },
    notes: ["Asks the instance over the control socket in its data directory."],
    load: () => import("./status.ts"),
  },
  {
    name: "units",
    summary: "list the supervised units of the running instance, or restart one",
    usage: "[list] | restart NAME",
    positionals: { min: 0, max: 2 },
    options: { config: CONFIG_OPTION, data: DATA_OPTION, json: JSON_OPTION },
    notes: [
      "NAME is a path as list shows it: receivers/meters. A parked unit starts again with an empty window.",
    ],
    load: () => import("./units.ts"),
  },
  {
    name: "log",
    summary: "look at the write-ahead log, check it, export, shorten or mend it",
    usage: "inspect|verify|export|truncate|repair|adopt",
    positionals: { min: 1, max: 1 },
    options: {
      config: CONFIG_OPTION,
      data: DATA_OPTION,
      from: { type: "string", takes: "OFFSET", doc: "export: from this record on" },
      to: { type: "string", takes: "OFFSET", doc: "export: up to this record, without it" },
      since: { type: "string", takes: "TIME", doc: "export: received at that time or later" },
      until: { type: "string", takes: "TIME", doc: "export: received before that time" },
      receiver: { type: "string", takes: "NAME", doc: "export: only records of this receiver" },
      before: {
        type: "string",
        takes: "OFFSET|TIME",
        doc: "truncate: free what lies before it, in whole segments",
      },
      force: { type: "boolean", doc: "truncate: also what pipelines have not processed" },
    },
    notes: [
      "inspect   segments, entries, sizes and the ranges of each receiver",
      "verify    reads everything and checks every checksum; ends with 65 when something is damaged",
      "export    records as lines of JSON on stdout; ends with 65 when a range could not be had",
      "truncate  frees the begin of the log; asks the running instance, or does it when none runs",
      "repair    copies damaged bytes aside and records what is lost; deletes nothing; no instance may run",
      "adopt     accepts a data directory that was moved or copied from another machine",
      "",
      "inspect, verify and export read only and work beside a running instance; they see what is durable.",
      "TIME is 2026-01-31T12:00:00Z, local without a zone, or an age such as 15m or 7d.",
    ],
    load: () => import("./log.ts"),
  },
  {
    name: "dead-letters",
    summary: "list records that were set aside, newest first",
    usage: "list [PIPELINE]",
    positionals: { min: 1, max: 2 },
    options: {
      config: CONFIG_OPTION,
      data: DATA_OPTION,
      pipeline: {
        type: "string",
        short: "p",
        takes: "NAME",
        doc: "only those of this pipeline or receiver",
      },
      limit: { type: "string", short: "n", takes: "COUNT", doc: "at most so many (20)" },
    },
    load: () => import("./dead-letters.ts"),
  },
  {
    name: "pipelines",
    summary: "list the pipelines that the data directory knows, or forget one",
    usage: "list | forget NAME",
    positionals: { min: 1, max: 2 },
    options: { config: CONFIG_OPTION, data: DATA_OPTION },
    notes: [
      "forget frees the log that a removed pipeline still holds; started again, it begins anew.",
      "No instance may run on the directory meanwhile.",
    ],
    load: () => import("./pipelines.ts"),
  },
];

/** Help of the program. */
export function programHelp(version: string): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    `holdfast ${version}: takes in data from devices and brokers without losing any of it`,
    "",
    "usage: holdfast COMMAND [OPTIONS]",
    "",
    ...lines,
    "",
    "holdfast COMMAND --help says more. Exit codes: 0, 1 failure, 64 usage, 65 damaged data,",
    "69 unavailable (port taken, directory locked), 78 configuration.",
  ].join("\n");
}

/** Help of one command. */
export function commandHelp(spec: CommandSpec): string {
  const options = Object.entries({ ...spec.options, ...COMMON_OPTIONS }).map(
    ([name, option]) => [optionText(name, option), option.doc] as const,
  );
  const width = Math.max(...options.map(([text]) => text.length));
  return [
    `usage: ${`holdfast ${spec.name} ${spec.usage}`.trim()}`,
    "",
    spec.summary,
    ...(spec.notes === undefined ? [] : ["", ...spec.notes]),
    "",
    ...options.map(([text, doc]) => `  ${text.padEnd(width)}  ${doc}`),
  ].join("\n");
}

function optionText(name: string, { short, takes }: OptionSpec): string {
  return `${short === undefined ? "    " : `-${short}, `}--${name}${takes === undefined ? "" : ` ${takes}`}`;
}
