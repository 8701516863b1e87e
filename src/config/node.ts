/**
 * The configuration as a tree in which every value knows its place in the file, so that each
 * message can point.
 */
import type { FilePlace } from "../errors.ts";

/** What a scalar can be, as the YAML 1.2 core schema types it. */
export type ScalarValue = string | number | boolean | null;

/** A single value. */
export interface ScalarNode {
  readonly kind: "scalar";
  readonly value: ScalarValue;
  /**
   * As it is written, without quotes: what a field that wants text takes when a plain scalar was
   * typed as a number.
   */
  readonly text: string;
  /** Whether quotes or a block style say that it is text, whatever it looks like. */
  readonly quoted: boolean;
  /** Whether a problem with it was reported already: nothing more is said about it. */
  readonly isReported?: boolean;
  readonly place: FilePlace;
}

/** A sequence. */
export interface ListNode {
  readonly kind: "list";
  readonly items: readonly ConfigNode[];
  readonly place: FilePlace;
}

/** One key of a mapping, with its place. */
export interface MapEntry {
  readonly key: string;
  readonly place: FilePlace;
  readonly value: ConfigNode;
}

/** A mapping; the entries are in file order and their keys differ. */
export interface MapNode {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, MapEntry>;
  readonly place: FilePlace;
}

/** Any part of a configuration. */
export type ConfigNode = ScalarNode | ListNode | MapNode;

/** The plain value of a node: maps become objects, in file order. */
export function plainValue(node: ConfigNode): unknown {
  switch (node.kind) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map(plainValue);
    case "map":
      return Object.fromEntries(
        [...node.entries].map(([key, entry]) => [key, plainValue(entry.value)]),
      );
  }
}

/**
 * The node at a path, or the nearest one above it: a message about a value that is missing points
 * at what lacks it.
 */
export function nodeAt(root: ConfigNode, path: readonly PropertyKey[]): ConfigNode {
  let node = root;
  for (const step of path) {
    const next = childOf(node, step);
    if (next === undefined) return node;
    node = next;
  }
  return node;
}

function childOf(node: ConfigNode, step: PropertyKey): ConfigNode | undefined {
  if (node.kind === "map") return node.entries.get(String(step))?.value;
  return node.kind === "list" && typeof step === "number" ? node.items[step] : undefined;
}

/** Keys of the mapping at `key` of a mapping: what a file defines there, right or wrong. */
export function keysUnder(node: ConfigNode, key: string): readonly string[] {
  const child = childOf(node, key);
  return child?.kind === "map" ? [...child.entries.keys()] : [];
}

/** How a node is called in a message: the value, or what kind of thing it is. */
export function showNode(node: ConfigNode): string {
  if (node.kind === "map") return "a mapping";
  if (node.kind === "list") return "a list";
  if (node.value === null) return "empty";
  return typeof node.value === "string" ? JSON.stringify(node.value) : node.text;
}
