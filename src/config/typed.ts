/**
 * Receivers, sources and sinks of the file: the type is looked up, then its options are read and the value
 * is made.
 */
import type { FileLook, NamesFiles } from "../contract/file-look.ts";
import type { Strategy } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import { inside, placed, type Scope, text } from "./fields.ts";
import { given } from "./given.ts";
import type { Typed } from "./model.ts";
import { isModuleReference, type Modules } from "./modules.ts";
import type { MapNode } from "./node.ts";
import { type Named, reportMissing } from "./objects.ts";
import type { Problems } from "./problems.ts";
import { checkName } from "./references.ts";
import type { TypeFactory, TypeRegistry } from "./registry.ts";
import { withPlace } from "./strategies.ts";
import { suggestion } from "./suggest.ts";
import { readOptions } from "./type-options.ts";

/** What a module of one's own is to export. */
const EXPORTS = {
  receiver: "export what defineReceiver returns",
  source: "export what defineSource returns",
  sink: "",
} as const;

/** What typed entries are read with. */
export interface TypedContext<T> {
  readonly noun: "receiver" | "source" | "sink";
  readonly registry: TypeRegistry<T>;
  readonly modules: Modules;
  readonly problems: Problems;
  readonly strategies: ReadonlyMap<string, Strategy>;
  /** Names of all strategies, also of those that have problems. */
  readonly strategyNames: readonly string[];
  /** With it, files that options name are looked at. */
  readonly look?: FileLook;
}

/** Reads all entries of one kind; those with problems are left out. */
export async function readTyped<T extends NamesFiles>(
  entries: readonly Named<Typed>[],
  context: TypedContext<T>,
): Promise<ReadonlyMap<string, T>> {
  const made = new Map<string, T>();
  for (const { name, value, entry } of entries) {
    const scope: Scope = { path: `${context.noun}s.${name}`, problems: context.problems };
    const { node } = value;
    if (node.kind !== "map") {
      context.problems.add(
        "CONFIG_TYPE",
        `${scope.path} is no mapping, wanted { type: ..., ... }`,
        entry.place,
        `${name}: { type: ${context.registry.names[0] ?? ""} }`,
      );
      continue;
    }
    const one = await readOne({ name, node, scope }, context);
    if (one !== undefined) made.set(name, one);
  }
  return made;
}

interface Entry {
  readonly name: string;
  readonly node: MapNode;
  readonly scope: Scope;
}

async function readOne<T extends NamesFiles>(
  { name, node, scope }: Entry,
  context: TypedContext<T>,
): Promise<T | undefined> {
  const before = context.problems.count;
  const factory = await factoryOf(node, scope, context);
  if (factory === undefined) return undefined;
  const supervision = readSupervision(node, scope, context);
  const otherKeys = context.noun === "receiver" ? ["type", "supervision"] : ["type"];
  const own = await readOptions(node, scope, {
    type: factory.type,
    schema: factory.options,
    modules: context.modules,
    otherKeys,
  });
  if (own === undefined || context.problems.count > before) return undefined;
  try {
    const made = factory.create(name, { ...own, ...given({ supervision }) });
    if (context.look !== undefined) await made.checkFiles?.(context.look);
    return made;
  } catch (error) {
    context.problems.addError(withPlace(error, node.place));
    return undefined;
  }
}

/**
 * The strategy that a receiver names. Sinks have none: they are tried again with their pipeline.
 */
function readSupervision<T>(
  node: MapNode,
  scope: Scope,
  { noun, problems, strategies, strategyNames }: TypedContext<T>,
): Strategy | undefined {
  const entry = node.entries.get("supervision");
  if (entry === undefined || noun === "sink") return undefined;
  const name = placed(text()).read(entry.value, inside(scope, "supervision"));
  if (name === undefined) return undefined;
  checkName(name, "strategy", strategyNames, problems);
  return strategies.get(name.value);
}

async function factoryOf<T>(
  node: MapNode,
  scope: Scope,
  context: TypedContext<T>,
): Promise<TypeFactory<T> | undefined> {
  const { registry, noun, problems } = context;
  const entry = node.entries.get("type");
  if (entry === undefined) {
    reportMissing(
      node,
      scope,
      "type",
      `${registry.names[0] ?? ""} (or ${registry.names.slice(1).join(", ")})`,
    );
    return undefined;
  }
  const type = text().read(entry.value, inside(scope, "type"));
  if (type === undefined) return undefined;
  const factory = isModuleReference(type)
    ? await exported(type, entry.value.place, context)
    : await registry.load(type);
  if (factory === undefined && !isModuleReference(type)) {
    const message = `no type of ${noun}s is called ${JSON.stringify(type)}, there are ${registry.names.join(", ")}`;
    const fix = suggestion(type, registry.names);
    problems.add(
      "CONFIG_REFERENCE",
      message,
      entry.value.place,
      fix.startsWith("did") ? fix : "or name a type of yours: ./module.js#export",
    );
  }
  return factory;
}

async function exported<T>(
  reference: string,
  place: MapNode["place"],
  { registry, modules, noun, problems }: TypedContext<T>,
): Promise<TypeFactory<T> | undefined> {
  try {
    const factory = registry.fromExport(await modules.load(reference, place));
    if (factory !== undefined) return factory;
    throw new HoldfastError("CONFIG_MODULE", `${reference} is no type of ${noun}s`, {
      at: place,
      fix: EXPORTS[noun],
    });
  } catch (error) {
    problems.addError(withPlace(error, place));
    return undefined;
  }
}
