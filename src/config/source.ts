/**
 * Reads YAML text into nodes that know their places. The only file that knows the `yaml` package.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  Scalar,
} from "yaml";
import type { FilePlace } from "../errors.ts";
import type { ConfigNode, MapEntry, ScalarValue } from "./node.ts";
import type { Problems } from "./problems.ts";

/** Longest configuration file in characters. */
export const CONFIG_CHARACTERS_MAX = 1_048_576;
/** Deepest nesting of lists and mappings. */
export const NESTING_MAX = 32;
/**
 * Most values of a file, repeated anchors counted each time: bounds what a few aliases can grow to.
 */
export const NODES_MAX = 50_000;

/**
 * Parses a file's text. What is wrong with the YAML goes to `problems` as CONFIG_SYNTAX; then the
 * result is undefined.
 */
export function parseSource(
  file: string,
  text: string,
  problems: Problems,
): ConfigNode | undefined {
  const before = problems.count;
  if (text.length > CONFIG_CHARACTERS_MAX) {
    const message = `the file has ${text.length} characters, limit ${CONFIG_CHARACTERS_MAX}`;
    problems.add("CONFIG_SYNTAX", message, { file, line: 1, column: 1 });
    return undefined;
  }
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  const builder = new TreeBuilder({ file, text, document, lineCounter, problems });
  // One broken brace makes several errors, of which the first names the place; keys that are there
  // twice stand alone.
  const [first] = document.errors.filter(({ code }) => code !== "DUPLICATE_KEY");
  for (const error of document.errors) {
    if (error.code !== "DUPLICATE_KEY" && error !== first) continue;
    const at = builder.placeAt(error.pos[0], error.pos[1]);
    problems.add(
      "CONFIG_SYNTAX",
      syntaxMessage(error.code, error.message),
      at,
      syntaxFix(text, at),
    );
  }
  if (problems.count > before) return undefined;
  const root = builder.build(document.contents, 0);
  return problems.count > before ? undefined : root;
}

function syntaxMessage(code: string, message: string): string {
  if (code === "DUPLICATE_KEY") return "this key is there twice in one mapping";
  if (code === "MULTIPLE_DOCS") return "the file holds more than one YAML document";
  if (code === "TAB_AS_INDENT") return "indented with a tab, YAML takes spaces only";
  return `not YAML: ${message}`;
}

/** Braces of a substitution end a flow mapping: by far the most likely reason for broken braces. */
function syntaxFix(text: string, at: FilePlace): string {
  const line = text.split("\n")[at.line - 1] ?? "";
  const bare = /(?:^|[^"'\w])(\$\{[^}]*\})/.exec(line)?.[1];
  return bare !== undefined && /[{[].*\$\{/.test(line) ? `put it in quotes: "${bare}"` : "";
}

interface TreeSource {
  readonly file: string;
  readonly text: string;
  readonly document: Document;
  readonly lineCounter: LineCounter;
  readonly problems: Problems;
}

class TreeBuilder {
  readonly #source: TreeSource;
  #nodeCount = 0;

  constructor(source: TreeSource) {
    this.#source = source;
  }

  /** The place of a range of the text; the caret stays on the first line. */
  placeAt(start: number, end: number): FilePlace {
    const { file, text, lineCounter } = this.#source;
    const from = lineCounter.linePos(start);
    const lineEnd = text.indexOf("\n", start);
    const last = Math.min(end, lineEnd === -1 ? text.length : lineEnd);
    const width = Math.max(1, text.slice(start, last).trimEnd().length);
    return { file, line: Math.max(from.line, 1), column: Math.max(from.col, 1), width };
  }

  build(node: unknown, depth: number): ConfigNode {
    const { problems } = this.#source;
    const place = this.#placeOf(node);
    if (++this.#nodeCount === NODES_MAX + 1)
      problems.add("CONFIG_SYNTAX", `more than ${NODES_MAX} values`, place);
    if (depth === NESTING_MAX + 1)
      problems.add("CONFIG_SYNTAX", `nested deeper than ${NESTING_MAX} levels`, place);
    if (this.#nodeCount > NODES_MAX || depth > NESTING_MAX) return nothing(place);
    if (isAlias(node)) return this.#aliased(node, depth);
    if (isSeq(node))
      return { kind: "list", items: node.items.map((item) => this.build(item, depth + 1)), place };
    if (isMap(node)) return { kind: "map", entries: this.#entries(node.items, depth), place };
    return isScalar(node) ? scalarNode(node, place) : nothing(place);
  }

  #aliased(alias: Alias, depth: number): ConfigNode {
    const target = alias.resolve(this.#source.document);
    if (target !== undefined) return this.build(target, depth + 1);
    const place = this.#placeOf(alias);
    const anchor = alias.source;
    this.#source.problems.add(
      "CONFIG_SYNTAX",
      `not YAML: no anchor &${anchor} comes before *${anchor}`,
      place,
    );
    return nothing(place);
  }

  #entries(
    items: readonly { readonly key: unknown; readonly value: unknown }[],
    depth: number,
  ): ReadonlyMap<string, MapEntry> {
    const entries = new Map<string, MapEntry>();
    for (const { key, value } of items) {
      const place = this.#placeOf(key);
      const name = isScalar(key) ? textOf(key) : undefined;
      if (name === undefined)
        this.#source.problems.add("CONFIG_SYNTAX", "a key must be a plain word", place);
      else
        entries.set(name, {
          key: name,
          place,
          value: value === null ? nothing(place) : this.build(value, depth + 1),
        });
    }
    return entries;
  }

  #placeOf(node: unknown): FilePlace {
    const range = isNodeWithRange(node) ? node.range : undefined;
    return range === undefined || range === null
      ? this.placeAt(0, 0)
      : this.placeAt(range[0], range[1]);
  }
}

function isNodeWithRange(node: unknown): node is Node {
  return isScalar(node) || isSeq(node) || isMap(node) || isAlias(node);
}

function scalarNode(node: Scalar, place: FilePlace): ConfigNode {
  const quoted = node.type !== undefined && node.type !== Scalar.PLAIN;
  return { kind: "scalar", value: scalarValue(node.value), text: textOf(node), quoted, place };
}

function textOf(node: Scalar): string {
  return node.source ?? "";
}

function scalarValue(value: unknown): ScalarValue {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return value;
  // The core schema has no other scalars.
  return null;
}

function nothing(place: FilePlace): ConfigNode {
  return { kind: "scalar", value: null, text: "", quoted: false, place };
}
