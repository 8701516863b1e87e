/**
 * Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` inside values. Text that was put in is
 * typed as if it stood there: `"${PORT:-9000}"` is a number. It is never read as YAML, so that no
 * value can add keys or lists. `$${` stands for `${`.
 */
import { HoldfastError } from "../errors.ts";
import type { ConfigNode, MapEntry, ScalarNode, ScalarValue } from "./node.ts";
import type { Problems } from "./problems.ts";

/** Longest text that a file may put in, in bytes: secrets are short. */
export const SUBSTITUTED_BYTES_MAX = 65_536;

/** Where values come from. */
export interface SubstitutionSources {
  /** The environment. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** The text of a small file; rejects as the file system does. */
  readonly readText: (path: string) => Promise<string>;
}

const REFERENCE = /\$\$\{|\$\{([^}]*)\}/g;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/**
 * The same tree with every reference replaced. What cannot be had goes to `problems` as
 * CONFIG_SUBSTITUTION, and the value stays as it was written.
 */
export async function substitute(
  root: ConfigNode,
  sources: SubstitutionSources,
  problems: Problems,
): Promise<ConfigNode> {
  switch (root.kind) {
    case "scalar":
      return substituteScalar(root, sources, problems);
    case "list": {
      const items: ConfigNode[] = [];
      for (const item of root.items) items.push(await substitute(item, sources, problems));
      return { ...root, items };
    }
    case "map": {
      const entries = new Map<string, MapEntry>();
      for (const [key, entry] of root.entries) {
        entries.set(key, { ...entry, value: await substitute(entry.value, sources, problems) });
      }
      return { ...root, entries };
    }
  }
}

async function substituteScalar(
  node: ScalarNode,
  sources: SubstitutionSources,
  problems: Problems,
): Promise<ScalarNode> {
  if (typeof node.value !== "string" || !node.value.includes("${")) return node;
  const template = node.value;
  let text = "";
  let copiedTo = 0;
  let replacedCount = 0;
  for (const match of template.matchAll(REFERENCE)) {
    text += template.slice(copiedTo, match.index);
    copiedTo = match.index + match[0].length;
    if (match[1] === undefined) {
      text += "${";
      continue;
    }
    try {
      text += await resolveReference(match[1], sources);
      replacedCount++;
    } catch (error) {
      problems.addError(asProblem(error, match[0], node));
      return { ...node, isReported: true };
    }
  }
  text += template.slice(copiedTo);
  if (replacedCount === 0) return { ...node, value: text, text };
  return { ...node, value: plainScalar(text), text, quoted: false };
}

async function resolveReference(
  reference: string,
  { variables, readText }: SubstitutionSources,
): Promise<string> {
  if (reference.startsWith("file:")) return readSecret(reference.slice("file:".length), readText);
  const [, name, fallback] = VARIABLE.exec(reference) ?? [];
  if (name === undefined) {
    const message = `"\${${reference}}" is no reference, known are \${NAME}, \${NAME:-default} and \${file:/path}`;
    throw new HoldfastError("CONFIG_SUBSTITUTION", message, { fix: "$${ writes ${ itself" });
  }
  const value = variables[name];
  if (value !== undefined && (value !== "" || fallback === undefined)) return value;
  if (fallback !== undefined) return fallback;
  throw new HoldfastError("CONFIG_SUBSTITUTION", `the environment has no ${name}`, {
    fix: `\${${name}:-a default}, or set ${name}`,
  });
}

async function readSecret(
  path: string,
  readText: SubstitutionSources["readText"],
): Promise<string> {
  if (path === "")
    throw new HoldfastError("CONFIG_SUBSTITUTION", "${file:} names no file", {
      fix: "${file:/run/secrets/token}",
    });
  const text = await readText(path);
  const bytes = Buffer.byteLength(text);
  if (bytes > SUBSTITUTED_BYTES_MAX) {
    throw new HoldfastError(
      "CONFIG_SUBSTITUTION",
      `${path} has ${bytes} bytes, limit ${SUBSTITUTED_BYTES_MAX}`,
    );
  }
  return text.replace(/\r?\n$/, "");
}

function asProblem(error: unknown, reference: string, { place }: ScalarNode): HoldfastError {
  if (error instanceof HoldfastError) {
    return new HoldfastError(error.code, error.message, { fix: error.fix, at: place });
  }
  const why = error instanceof Error ? error.message : String(error);
  return new HoldfastError("CONFIG_SUBSTITUTION", `${reference} cannot be read: ${why}`, {
    at: place,
    cause: error,
  });
}

const NULLS = new Set(["", "~", "null", "Null", "NULL"]);
const TRUES = new Set(["true", "True", "TRUE"]);
const FALSES = new Set(["false", "False", "FALSE"]);

/** Types text as the core schema of YAML 1.2 types a plain scalar. */
export function plainScalar(text: string): ScalarValue {
  if (NULLS.has(text)) return null;
  if (TRUES.has(text)) return true;
  if (FALSES.has(text)) return false;
  if (/^[-+]?[0-9]+$/.test(text) || /^0x[0-9a-fA-F]+$/.test(text) || /^0o[0-7]+$/.test(text))
    return Number(text);
  if (/^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(text)) return Number(text);
  if (/^[-+]?\.(?:inf|Inf|INF)$/.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return /^\.(?:nan|NaN|NAN)$/.test(text) ? NaN : text;
}
