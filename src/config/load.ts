/**
 * From the text of a configuration file to the options of `createIngest`, or everything that is
 * wrong with it.
 */
import type { FileLook } from "../contract/file-look.ts";
import type { Pipeline } from "../contract/graph.ts";
import { type IngestOptions, resolveIngestOptions } from "../options.ts";
import { DATA_DEFAULT } from "./defaults.ts";
import { given } from "./given.ts";
import { layout } from "./layout.ts";
import type { ConsoleConfig, FileConfig, LogConfig } from "./model.ts";
import { type ImportModule, Modules } from "./modules.ts";
import type { ConfigNode } from "./node.ts";
import { type Partly, reportMissing } from "./objects.ts";
import { type ProblemReport, Problems } from "./problems.ts";
import { checkPipeline, type KnownNames, namesOf } from "./references.ts";
import { receiverTypes, sinkTypes, sourceTypes } from "./registry.ts";
import { parseSource } from "./source.ts";
import { buildStrategies, withPlace } from "./strategies.ts";
import { buildPipeline, checkModules, type Defined } from "./streams.ts";
import { substitute, type SubstitutionSources } from "./substitution.ts";
import { readTyped } from "./typed.ts";

/** A file and where what it refers to comes from. */
export interface ConfigInput extends SubstitutionSources {
  /** Path as messages show it; modules count from its directory. */
  readonly file: string;
  readonly text: string;
  readonly importModule: ImportModule;
  /** With it the files that receivers, sources and sinks name are looked at, too; without, `open` does. */
  readonly look?: FileLook;
}

/** How loading ended. */
export type LoadResult =
  | { readonly kind: "loaded"; readonly options: IngestOptions }
  | ({ readonly kind: "invalid" } & ProblemReport);

/**
 * Loads a configuration. Modules that it names are imported; nothing is opened. What is wrong with
 * it is returned, all of it at once, each with its place.
 */
export async function loadConfig(input: ConfigInput): Promise<LoadResult> {
  const problems = new Problems();
  const options = await read(input, problems);
  if (options !== undefined && problems.count === 0) return { kind: "loaded", options };
  return { kind: "invalid", ...problems.report() };
}

async function read(input: ConfigInput, problems: Problems): Promise<IngestOptions | undefined> {
  const parsed = parseSource(input.file, input.text, problems);
  if (parsed === undefined) return undefined;
  const root = await substitute(parsed, input, problems);
  const config = layout.readParts(root, { path: "", problems });
  if (config === undefined) return undefined;
  const names = namesOf(root);
  checkInputs(root, names, problems);
  const defined = await define(config, {
    names,
    problems,
    modules: new Modules(input.file, input.importModule),
    ...given({ look: input.look }),
  });
  for (const each of config.pipelines ?? []) {
    checkPipeline(each, names, problems);
    await checkModules(each, defined.modules, problems);
  }
  return problems.count > 0 ? undefined : build(config, { defined, problems, root });
}

/** Something has to come in, and what comes in has one name. */
function checkInputs(root: ConfigNode, names: KnownNames, problems: Problems): void {
  const isMissing =
    root.kind === "map" && !root.entries.has("receivers") && !root.entries.has("sources");
  if (isMissing) reportMissing(root, { path: "", problems }, "receivers");
  for (const name of names.sources.filter((each) => names.receivers.includes(each)))
    problems.add("CONFIG_CONFLICT", `receiver and source are both called ${name}`, root.place);
}

interface DefineContext extends Pick<ConfigInput, "look"> {
  readonly names: KnownNames;
  readonly problems: Problems;
  readonly modules: Modules;
}

/** Receivers, sources, sinks and strategies: what pipelines refer to. */
async function define(
  config: Partly<FileConfig>,
  { names, problems, modules, look }: DefineContext,
): Promise<Defined> {
  const strategies = await buildStrategies(config.supervision ?? [], modules, problems);
  const shared = {
    modules,
    problems,
    strategies,
    strategyNames: names.strategies,
    ...given({ look }),
  };
  const receivers = await readTyped(config.receivers ?? [], {
    ...shared,
    noun: "receiver",
    registry: receiverTypes,
  });
  const sources = await readTyped(config.sources ?? [], {
    ...shared,
    noun: "source",
    registry: sourceTypes,
  });
  const sinks = await readTyped(config.sinks ?? [], {
    ...shared,
    noun: "sink",
    registry: sinkTypes,
  });
  return { receivers, sources, sinks, strategies, modules };
}

interface BuildContext {
  readonly defined: Defined;
  readonly problems: Problems;
  readonly root: ConfigNode;
}

async function build(
  config: Partly<FileConfig>,
  { defined, problems, root }: BuildContext,
): Promise<IngestOptions | undefined> {
  const pipelines: Pipeline[] = [];
  for (const named of config.pipelines ?? []) {
    try {
      pipelines.push(await buildPipeline(named, defined));
    } catch (error) {
      problems.addError(withPlace(error, named.entry.place));
    }
  }
  if (problems.count > 0) return undefined;
  const options: IngestOptions = {
    directory: config.data ?? DATA_DEFAULT,
    receivers: [...defined.receivers.values()],
    pipelines,
    ...given({ log: logOptions(config.log), console: consoleOptions(config.console) }),
  };
  try {
    resolveIngestOptions(options);
  } catch (error) {
    problems.addError(withPlace(error, root.place));
  }
  return options;
}

function logOptions(log: LogConfig | undefined): IngestOptions["log"] {
  if (log === undefined) return undefined;
  const { bytesMax, keep, minCommitInterval, segmentMax, ...others } = log;
  return given({
    bytesMax,
    keepMs: keep?.duration,
    keepBytes: keep?.bytes,
    minCommitIntervalMs: minCommitInterval,
    segmentBytes: segmentMax,
    ...others,
  });
}

function consoleOptions(config: ConsoleConfig | undefined): IngestOptions["console"] {
  return config === undefined ? undefined : { port: config.port, ...given({ host: config.host }) };
}
