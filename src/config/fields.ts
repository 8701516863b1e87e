/**
 * What a value of the file may be: fields read a node into a value or report what is wrong with it
 * at its place, and describe themselves to editors.
 */
import type { Code } from "../errors.ts";
import { parseDuration, parseSize } from "../units.ts";
import { type ConfigNode, type ScalarNode, showNode } from "./node.ts";
import type { Problems } from "./problems.ts";
import { showDuration, showSize } from "./quantities.ts";
import { closest } from "./suggest.ts";

/** A JSON Schema, as editors read it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Where a value is, for messages: `receivers.meters.port`. */
export interface Scope {
  readonly path: string;
  readonly problems: Problems;
}

/** One kind of value. */
export interface Field<T> {
  /** What is wanted, for messages: "a whole number". */
  readonly wanted: string;
  readonly jsonSchema: JsonSchema;
  /** The value, or undefined after at least one problem was reported. */
  read(node: ConfigNode, scope: Scope): T | undefined;
}

/** An inclusive range. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The last part of a path: what a message calls the value. */
export function labelOf({ path }: Scope): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** The scope of a part. */
export function inside({ path, problems }: Scope, name: string): Scope {
  return { problems, path: path === "" ? name : `${path}.${name}` };
}

/** Reports a value that is none of what is wanted. */
export function wrongType(node: ConfigNode, scope: Scope, wanted: string, fix = ""): undefined {
  if (isReported(node)) return undefined;
  const label = labelOf(scope);
  scope.problems.add(
    "CONFIG_TYPE",
    `${label === "" ? "the file" : label} is ${showNode(node)}, wanted ${wanted}`,
    node.place,
    fix,
  );
  return undefined;
}

function isReported(node: ConfigNode): boolean {
  return node.kind === "scalar" && node.isReported === true;
}

function scalarField<T>(
  wanted: string,
  jsonSchema: JsonSchema,
  read: (node: ScalarNode, scope: Scope) => T | undefined,
): Field<T> {
  return {
    wanted,
    jsonSchema,
    read(node, scope) {
      if (isReported(node)) return undefined;
      return node.kind === "scalar" ? read(node, scope) : wrongType(node, scope, wanted);
    },
  };
}

/** Editors accept a reference to the environment wherever a value that is no text stands. */
function orReference(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: "string", pattern: "\\$\\{" }] };
}

/** What a text must look like, and how to say so. */
export interface TextRule {
  readonly pattern: RegExp;
  readonly wanted: string;
  readonly code?: Code;
}

/** Text. A plain number or `true` is taken as it is written: a password may be 0123. */
export function text(rule?: TextRule): Field<string> {
  const wanted = rule?.wanted ?? "text";
  const schema =
    rule === undefined ? { type: "string" } : { type: "string", description: rule.wanted };
  return scalarField(wanted, schema, (node, scope) => {
    if (node.text === "" && !node.quoted) return wrongType(node, scope, wanted);
    const value = typeof node.value === "string" ? node.value : node.text;
    if (rule === undefined || rule.pattern.test(value)) return value;
    scope.problems.add(
      rule.code ?? "CONFIG_VALUE",
      `${labelOf(scope)} is ${JSON.stringify(value)}, wanted ${rule.wanted}`,
      node.place,
    );
    return undefined;
  });
}

/** `true` or `false`. */
export function boolean(): Field<boolean> {
  const wanted = "true or false";
  return scalarField(wanted, orReference({ type: "boolean" }), (node, scope) =>
    typeof node.value === "boolean" ? node.value : wrongType(node, scope, wanted),
  );
}

/** A number in a range. */
export function number(range: Range, kind: "integer" | "number" = "number"): Field<number> {
  const wanted = kind === "integer" ? "a whole number" : "a number";
  const schema = { type: kind, ...bounds(range) };
  return scalarField(wanted, orReference(schema), (node, scope) => {
    const { value } = node;
    if (typeof value !== "number" || Number.isNaN(value)) return wrongType(node, scope, wanted);
    if (kind === "integer" && Number.isFinite(value) && !Number.isInteger(value))
      return wrongType(node, scope, wanted);
    return inRange(value, { node, scope, range, show: String });
  });
}

/** A whole number in a range. */
export function integer(range: Range): Field<number> {
  return number(range, "integer");
}

/** A TCP port; 0 takes a free one. Messages name 1 to 65535: 0 is for tests. */
export function port(): Field<number> {
  const wanted = "a port";
  return scalarField(
    wanted,
    orReference({ type: "integer", minimum: 0, maximum: 65_535 }),
    (node, scope) => {
      if (typeof node.value !== "number" || !Number.isInteger(node.value))
        return wrongType(node, scope, wanted);
      return node.value === 0
        ? 0
        : inRange(node.value, { node, scope, range: { min: 1, max: 65_535 }, show: String });
    },
  );
}

/** Milliseconds, written with a unit: `250ms`, `10s`, `1m`. */
export function duration(range: Range): Field<number> {
  const wanted = "a duration such as 500ms, 10s, 1m, 2h";
  const schema = {
    type: "string",
    pattern: "^[0-9]+(\\.[0-9]+)? *(ms|s|m|h|d)$|\\$\\{",
    description: wanted,
  };
  return scalarField(wanted, schema, (node, scope) => {
    const ms =
      node.value === 0 ? 0 : typeof node.value === "string" ? parseDuration(node.value) : undefined;
    if (ms === undefined) return wrongType(node, scope, wanted, durationFix(node, range));
    return inRange(ms, { node, scope, range, show: showDuration });
  });
}

/** Bytes, written with a unit: `64KiB`, `1GiB`. */
export function size(range: Range): Field<number> {
  const wanted = "a size such as 64KiB, 16MiB, 1GiB";
  const schema = {
    type: "string",
    pattern: "^[0-9]+(\\.[0-9]+)? *([kKmMgGtT]i?)?[bB]$|\\$\\{",
    description: wanted,
  };
  return scalarField(wanted, schema, (node, scope) => {
    const bytes =
      node.value === 0 ? 0 : typeof node.value === "string" ? parseSize(node.value) : undefined;
    if (bytes === undefined)
      return wrongType(
        node,
        scope,
        wanted,
        unitFix(node, range, { B: 1, KiB: 2 ** 10, MiB: 2 ** 20 }),
      );
    return inRange(bytes, { node, scope, range, show: showSize });
  });
}

/** A bare number is most often meant in seconds, and in milliseconds by those who know the option in code: both are named. */
function durationFix(node: ScalarNode, range: Range): string {
  const smallest = unitFix(node, range, { ms: 1, s: 1_000, m: 60_000 });
  if (!smallest.endsWith("ms")) return smallest;
  const { value, text: written } = node;
  const fitsAsSeconds = typeof value === "number" && value * 1_000 <= range.max;
  return fitsAsSeconds ? `${written}s, or ${smallest}` : smallest;
}

/** A bare number with the smallest unit that makes it large enough. */
function unitFix(
  { value, text: written }: ScalarNode,
  { min }: Range,
  units: Readonly<Record<string, number>>,
): string {
  if (typeof value !== "number") return "";
  const fitting = Object.entries(units).find(([, size]) => value * size >= min);
  return fitting === undefined ? "" : `${written}${fitting[0]}`;
}

/** One of a few words or numbers. */
export function oneOf<const V extends string | number>(values: readonly V[]): Field<V> {
  const wanted = values.length === 1 ? String(values[0]) : `one of ${values.join(", ")}`;
  return scalarField(wanted, { enum: values }, (node, scope) => {
    const found = values.find((value) => value === node.value);
    if (found !== undefined) return found;
    const fix = typeof node.value === "string" ? didYouMean(node.value, values) : "";
    scope.problems.add(
      "CONFIG_VALUE",
      `${labelOf(scope)} is ${showNode(node)}, allowed ${values.length === 1 ? "is" : "are"} ${values.join(", ")}`,
      node.place,
      fix,
    );
    return undefined;
  });
}

function didYouMean(word: string, values: readonly (string | number)[]): string {
  const match = closest(word, values.map(String));
  return match === undefined ? "" : `did you mean "${match}"?`;
}

/** A list with at least `countMin` items. */
export function list<T>(item: Field<T>, countMin = 0): Field<readonly T[]> {
  const wanted = `a list of ${item.wanted}`;
  return {
    wanted,
    jsonSchema: {
      type: "array",
      items: item.jsonSchema,
      ...(countMin === 0 ? {} : { minItems: countMin }),
    },
    read(node, scope) {
      if (node.kind !== "list")
        return wrongType(
          node,
          scope,
          wanted,
          node.kind === "scalar" && node.text !== "" ? `[${node.text}]` : "",
        );
      if (node.items.length < countMin) {
        scope.problems.add(
          "CONFIG_OUT_OF_RANGE",
          `${labelOf(scope)} has ${node.items.length} items, allowed are ${countMin} or more`,
          node.place,
        );
        return undefined;
      }
      const values = node.items.map((child, index) =>
        item.read(child, { ...scope, path: `${scope.path}[${index}]` }),
      );
      return allRead(values);
    },
  };
}

function allRead<T>(values: readonly (T | undefined)[]): readonly T[] | undefined {
  const read = values.filter((value) => value !== undefined);
  return read.length === values.length ? read : undefined;
}

/**
 * A value with the node it came from, for problems that show later: a reference to something
 * unknown.
 */
export interface Placed<T> {
  readonly value: T;
  readonly node: ConfigNode;
}

/** The same field, keeping the node. */
export function placed<T>(field: Field<T>): Field<Placed<T>> {
  return {
    ...field,
    read(node, scope) {
      const value = field.read(node, scope);
      return value === undefined ? undefined : { value, node };
    },
  };
}

/** Any value, unread: it is read later, when it is known what it must be. */
export function anything(jsonSchema: JsonSchema): Field<Placed<undefined>> {
  return { wanted: "a value", jsonSchema, read: (node) => ({ value: undefined, node }) };
}

function bounds({ min, max }: Range): JsonSchema {
  return {
    ...(Number.isFinite(min) ? { minimum: min } : {}),
    ...(Number.isFinite(max) ? { maximum: max } : {}),
  };
}

interface RangeCheck {
  readonly node: ScalarNode;
  readonly scope: Scope;
  readonly range: Range;
  readonly show: (value: number) => string;
}

/** The range in words: `1 to 65535`, `1 or more`. */
export function showRange({ min, max }: Range, show: (value: number) => string): string {
  if (Number.isFinite(min) && Number.isFinite(max)) return `${show(min)} to ${show(max)}`;
  return Number.isFinite(min) ? `${show(min)} or more` : `${show(max)} or less`;
}

function inRange(value: number, { node, scope, range, show }: RangeCheck): number | undefined {
  if (value >= range.min && value <= range.max) return value;
  const message = `${labelOf(scope)} is ${node.text}, allowed are ${showRange(range, show)}`;
  scope.problems.add(
    "CONFIG_OUT_OF_RANGE",
    message,
    node.place,
    `${labelOf(scope)}: ${show(show === String ? likely(value, range) : nearest(value, range))}`,
  );
  return undefined;
}

/** One digit too many is the usual slip; else the nearest bound. */
function likely(value: number, { min, max }: Range): number {
  const shorter = Math.trunc(value / 10);
  if (value > max && shorter >= min && shorter <= max) return shorter;
  return nearest(value, { min, max });
}

function nearest(value: number, { min, max }: Range): number {
  return value < min ? min : max;
}
