/**
 * The layout of the file: what its keys are called, what they take, and what editors say about
 * them. Options of receiver and sink types are not here: `type-options.ts` reads them when their
 * type is known.
 */
import {
  anything,
  duration,
  type Field,
  integer,
  list,
  oneOf,
  placed,
  port,
  size,
  text,
} from "./fields.ts";
import type {
  ConsoleConfig,
  DecideRule,
  FileConfig,
  LogConfig,
  StrategyConfig,
  Typed,
} from "./model.ts";
import { moduleReference } from "./modules.ts";
import { dictionary, lenient, object, type ObjectField, optional, required } from "./objects.ts";
import { pipelineField } from "./pipeline-layout.ts";

const DAY_MS = 86_400_000;
const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;
/** Ten years: longer than any disk lasts. */
const KEEP_MS_MAX = 3_650 * DAY_MS;

const directives = ["resume", "restart", "stop", "escalate"] as const;
const decideRule: ObjectField<DecideRule> = object("a rule of decide", {
  class: optional(placed(text()), "an error class of JavaScript, or ./module.js#Class"),
  code: optional(
    text({ pattern: /^[A-Z][A-Z0-9_]*$/, wanted: "an error code such as VALUE_MISSING" }),
    "the error's code",
  ),
  if: optional(
    moduleReference("a function that takes the error"),
    "a function of yours: (error) => boolean",
  ),
  then: required(
    oneOf(directives),
    "what the error leads to: resume, restart, stop or escalate",
    "restart",
  ),
});

const backoff = object("backoff", {
  min: required(duration({ min: 1, max: DAY_MS }), "wait before the first restart", "250ms"),
  max: required(duration({ min: 1, max: DAY_MS }), "longest wait", "5s"),
  resetAfter: required(
    duration({ min: 0, max: DAY_MS }),
    "health after which waiting begins anew",
    "30s",
  ),
});

const strategy: ObjectField<StrategyConfig> = object("a strategy", {
  maxRestarts: required(
    integer({ min: 0, max: 10_000 }),
    "restarts allowed in any interval of the length `within`",
    "10",
  ),
  within: required(duration({ min: 1, max: 365 * DAY_MS }), "length of the sliding interval", "1m"),
  scope: optional(
    oneOf(["one-for-one", "all-for-one", "rest-for-one"]),
    "who else is restarted: nobody, the whole group, or those started after it",
  ),
  decide: optional(list(placed(decideRule)), "rules, the first that fits decides"),
  otherwise: optional(oneOf(directives), "what every other error leads to"),
  backoff: optional(backoff, "how long to wait before a restart"),
  onExhausted: optional(
    oneOf(["park", "stop", "escalate"]),
    "what happens when no restart is left",
  ),
});

const log: ObjectField<LogConfig> = object("log", {
  bytesMax: optional(
    size({ min: 64 * MIB, max: TIB }),
    "disk space for the log; receivers wait when it is used up",
  ),
  keep: optional(
    object("log.keep", {
      duration: optional(
        duration({ min: 0, max: KEEP_MS_MAX }),
        "keep processed records this long",
      ),
      bytes: optional(size({ min: 0, max: TIB }), "keep this much of what was processed"),
    }),
    "processed records are deleted unless they are kept",
  ),
  minCommitInterval: optional(
    duration({ min: 0, max: 10_000 }),
    "least time between two writes to disk; acknowledgements wait for it",
  ),
  segmentMax: optional(size({ min: 4 * MIB, max: 1024 * MIB }), "size of one file of the log"),
  reserve: optional(
    oneOf(["none", "full"]),
    "full: allocate all of bytesMax in the background after the first start",
  ),
  flushesPerSecondMax: optional(
    integer({ min: 4, max: 10_000 }),
    "durable writes in any second at most, to spare a flash card",
  ),
  durability: optional(
    oneOf(["standard", "strict"]),
    "strict: refuse a file system that may lose what was acknowledged",
  ),
});

const consoleField: ObjectField<ConsoleConfig> = object("console", {
  port: required(port(), "port of /metrics, /livez and /readyz", "9090"),
  host: optional(text(), "address to listen on; loopback when left out"),
});

const typed: Field<Typed> = anything({ type: "object", required: ["type"] });

/** The whole file. */
export const layout: ObjectField<FileConfig> = object("the configuration", {
  version: required(oneOf([1]), "version of this file's layout", "1"),
  data: optional(text(), "data directory; relative to the working directory"),
  log: optional(log, "the write-ahead log"),
  supervision: optional(
    dictionary(strategy, "strategy"),
    "strategies for receivers and pipelines, by name",
  ),
  receivers: optional(dictionary(typed, "receiver"), "what brings records in, by name"),
  sources: optional(
    dictionary(typed, "source"),
    "what pipelines read directly, without the log, by name",
  ),
  sinks: optional(dictionary(typed, "sink"), "where rows go, by name"),
  pipelines: optional(
    dictionary(lenient(pipelineField), "pipeline"),
    "from receivers to sinks, by name",
  ),
  console: optional(consoleField, "metrics and health over HTTP"),
});
