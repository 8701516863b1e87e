/**
 * Mappings: objects with known keys, dictionaries with free names, and one-key choices such as `{
 * map: ... }`.
 */
import { NAME_PATTERN } from "../contract/name.ts";
import { type Field, inside, type JsonSchema, labelOf, type Scope, wrongType } from "./fields.ts";
import type { ConfigNode, MapEntry, MapNode } from "./node.ts";
import { suggestion } from "./suggest.ts";

/** One key of an object. */
export interface Member<T> {
  readonly field: Field<T>;
  readonly required: boolean;
  /** For editors. */
  readonly doc: string;
  /** What to type when it is missing; without it the key is named. */
  readonly example?: string;
}

/** A key that must be there. */
export function required<T>(field: Field<T>, doc: string, example?: string): Member<T> {
  return { field, required: true, doc, ...(example === undefined ? {} : { example }) };
}

/** A key that may be left out. */
export function optional<T>(field: Field<T>, doc: string): Member<T | undefined> {
  return { field, required: false, doc };
}

type Members = Readonly<Record<string, Member<unknown>>>;
type ValuesOf<M extends Members> = {
  readonly [K in keyof M]: M[K] extends Member<infer T> ? T : never;
};

/** What is read of an object that may have problems: undefined where one was reported. */
export type Partly<T> = { readonly [K in keyof T]: T[K] | undefined };

/**
 * An object with known keys. Any other key is CONFIG_KEY_UNKNOWN, a missing one CONFIG_KEY_MISSING.
 */
export interface ObjectField<T> extends Field<T> {
  /**
   * Every part that could be read, so that references in the others are still checked; undefined
   * for no mapping.
   */
  readParts(node: ConfigNode, scope: Scope): Partly<T> | undefined;
}

/** An object with known keys; `noun` names it in messages: "the console", "tcp". */
export function object<const M extends Members>(
  noun: string,
  members: M,
): ObjectField<ValuesOf<M>> {
  const wanted = `a mapping with ${Object.keys(members).join(", ")}`;
  const readParts = (node: ConfigNode, scope: Scope): Partly<ValuesOf<M>> | undefined => {
    if (node.kind !== "map") return wrongType(node, scope, wanted);
    reportUnknown(node, scope, noun, Object.keys(members));
    const parts = Object.entries(members).map(([key, member]) => [
      key,
      readMember(node, scope, key, member),
    ]);
    // Each part was read by the member of its key just now.
    return Object.fromEntries(parts) as Partly<ValuesOf<M>>;
  };
  return {
    wanted,
    jsonSchema: objectSchema(members),
    readParts,
    read(node, scope) {
      const before = scope.problems.count;
      const parts = readParts(node, scope);
      // No problem was added, so every required part is there.
      return scope.problems.count === before ? (parts as ValuesOf<M> | undefined) : undefined;
    },
  };
}

/**
 * The same object, giving what could be read although some of it is wrong. All its keys are
 * optional.
 */
export function lenient<T>(field: ObjectField<Partly<T>>): Field<Partly<T>> {
  return {
    wanted: field.wanted,
    jsonSchema: field.jsonSchema,
    read: (node, scope) => field.readParts(node, scope),
  };
}

/** Reports each key that is not among the known ones. */
export function reportUnknown(
  node: MapNode,
  scope: Scope,
  noun: string,
  known: readonly string[],
): void {
  for (const { key, place } of node.entries.values()) {
    if (known.includes(key)) continue;
    scope.problems.add(
      "CONFIG_KEY_UNKNOWN",
      `${noun} has no option ${JSON.stringify(key)}`,
      place,
      suggestion(key, known),
    );
  }
}

function readMember(node: MapNode, scope: Scope, key: string, member: Member<unknown>): unknown {
  const entry = node.entries.get(key);
  if (entry !== undefined) return member.field.read(entry.value, inside(scope, key));
  if (member.required) reportMissing(node, scope, key, member.example);
  return undefined;
}

/** Reports a key that must be there. */
export function reportMissing(node: MapNode, scope: Scope, key: string, example?: string): void {
  const owner = scope.path === "" ? "the file" : scope.path;
  const fix = example === undefined ? "" : `${key}: ${example}`;
  // The whole mapping lacks it: its first character says which one.
  scope.problems.add(
    "CONFIG_KEY_MISSING",
    `${owner} lacks ${JSON.stringify(key)}`,
    { ...node.place, width: 1 },
    fix,
  );
}

function objectSchema(members: Members): JsonSchema {
  const keys = Object.entries(members);
  const properties = keys.map(([key, { field, doc }]) => [
    key,
    { ...field.jsonSchema, description: doc },
  ]);
  const requiredKeys = keys.filter(([, member]) => member.required).map(([key]) => key);
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    ...(requiredKeys.length === 0 ? {} : { required: requiredKeys }),
    additionalProperties: false,
  };
}

/** One entry of a dictionary. */
export interface Named<T> {
  readonly name: string;
  readonly value: T;
  readonly entry: MapEntry;
}

/**
 * A mapping from names to values of one kind; names are checked. Entries with problems are left out
 * of the result.
 */
export function dictionary<T>(item: Field<T>, noun: string): Field<readonly Named<T>[]> {
  const wanted = `a mapping from names to ${noun}s`;
  return {
    wanted,
    jsonSchema: {
      type: "object",
      propertyNames: { pattern: NAME_PATTERN.source },
      additionalProperties: item.jsonSchema,
    },
    read(node, scope) {
      if (node.kind !== "map") return wrongType(node, scope, wanted);
      return [...node.entries.values()].flatMap((entry) => readNamed(entry, { item, noun, scope }));
    },
  };
}

function readNamed<T>(
  entry: MapEntry,
  { item, noun, scope }: { readonly item: Field<T>; readonly noun: string; readonly scope: Scope },
): readonly Named<T>[] {
  const name = entry.key;
  if (!NAME_PATTERN.test(name)) reportName(entry, scope, noun);
  const value = item.read(entry.value, inside(scope, name));
  return value === undefined ? [] : [{ name, value, entry }];
}

function reportName({ key, place }: MapEntry, { problems }: Scope, noun: string): void {
  const proposal = key
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, 63);
  const message = `${noun} name is ${JSON.stringify(key)}, allowed are lower-case letters, digits and "-", beginning with a letter, at most 63`;
  problems.add("CONFIG_VALUE", message, place, NAME_PATTERN.test(proposal) ? `${proposal}:` : "");
}

/** The only entry of a mapping such as `{ map: ./steps.js#toRow }`. */
export interface Choice {
  readonly key: string;
  readonly entry: MapEntry;
}

/** The one key of a mapping that has to be one of a few; reports what else it is. */
export function readChoice(
  node: ConfigNode,
  scope: Scope,
  noun: string,
  keys: readonly string[],
): Choice | undefined {
  const wanted = `a mapping with one of ${keys.join(", ")}`;
  if (node.kind !== "map") return wrongType(node, scope, wanted);
  const [first, second] = [...node.entries.values()];
  if (first === undefined) return wrongType(node, scope, wanted);
  if (!keys.includes(first.key)) {
    scope.problems.add(
      "CONFIG_KEY_UNKNOWN",
      `${noun} cannot be ${JSON.stringify(first.key)}`,
      first.place,
      suggestion(first.key, keys),
    );
    return undefined;
  }
  if (second !== undefined) {
    scope.problems.add(
      "CONFIG_CONFLICT",
      `${labelOf(scope)} has ${node.entries.size} keys, allowed is 1 of ${keys.join(", ")}`,
      second.place,
    );
    return undefined;
  }
  return { key: first.key, entry: first };
}
