/**
 * Module references: `./steps.js#addReceipt` names an export of a module, relative to the
 * configuration file. Nothing else in a configuration loads code.
 */
import { basename, dirname, resolve } from "node:path";
import { type FilePlace, HoldfastError } from "../errors.ts";
import { type Field, type Placed, placed, text } from "./fields.ts";
import { suggestion } from "./suggest.ts";

/** What a module exports. */
export type ModuleExports = Readonly<Record<string, unknown>>;
/** Imports the module of an absolute path; rejects as `import()` does. */
export type ImportModule = (path: string) => Promise<ModuleExports>;

const REFERENCE = /^(\.\.?\/[^#]+)#([A-Za-z_$][\w$]*)$/;

/** Whether a text is a module reference: it begins with `./` or `../` and has a `#`. */
export function isModuleReference(value: string): boolean {
  return /^\.\.?\//.test(value) && value.includes("#");
}

/** A text that names an export, with its place. */
export function moduleReference(wanted: string): Field<Placed<string>> {
  return placed(text({ pattern: REFERENCE, wanted: `${wanted} as ./module.js#export` }));
}

/** Loads what references name; each module once. */
export class Modules {
  readonly #directory: string;
  readonly #importModule: ImportModule;

  /** References count from the directory of `file`. */
  constructor(file: string, importModule: ImportModule) {
    this.#directory = dirname(resolve(file));
    this.#importModule = importModule;
  }

  /** The exported value. @throws CONFIG_MODULE when the module or the export cannot be had */
  async load(reference: string, at: FilePlace): Promise<unknown> {
    const [, path, name] = REFERENCE.exec(reference) ?? [];
    if (path === undefined || name === undefined) {
      throw new HoldfastError("CONFIG_MODULE", `${JSON.stringify(reference)} names no export`, {
        at,
        fix: `${reference.replace(/#.*$/s, "")}#name`,
      });
    }
    const exported = await this.#import(path, at);
    if (Object.hasOwn(exported, name)) return exported[name];
    throw new HoldfastError("CONFIG_MODULE", `${path} has no export ${JSON.stringify(name)}`, {
      at,
      fix: suggestion(name, Object.keys(exported)),
    });
  }

  /** The same for a function. @throws CONFIG_MODULE when it is none */
  async loadFunction(
    reference: string,
    at: FilePlace,
  ): Promise<(...args: readonly unknown[]) => unknown> {
    const value = await this.load(reference, at);
    if (isFunction(value)) return value;
    throw new HoldfastError(
      "CONFIG_MODULE",
      `${reference} is a ${typeof value}, wanted a function`,
      { at },
    );
  }

  async #import(path: string, at: FilePlace): Promise<ModuleExports> {
    const absolute = resolve(this.#directory, path);
    try {
      return await this.#importModule(absolute);
    } catch (cause) {
      const isMissing =
        cause instanceof Error &&
        "code" in cause &&
        cause.code === "ERR_MODULE_NOT_FOUND" &&
        cause.message.includes(absolute);
      const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
      const message = isMissing
        ? `${path} is not there: ${absolute}`
        : `${path} cannot be loaded: ${why}`;
      throw new HoldfastError("CONFIG_MODULE", message, {
        at,
        cause,
        fix: isMissing
          ? "paths of modules count from the directory of this file"
          : fixOf(cause, absolute),
      });
    }
  }
}

/** A package.json that says `"type": "commonjs"`, as `npm init` writes it, makes `export` in a .js file an error. */
function fixOf(cause: unknown, absolute: string): string {
  const isTakenForCommonJs =
    cause instanceof SyntaxError &&
    absolute.endsWith(".js") &&
    /^(?:Unexpected token 'export'|Cannot use import statement)/.test(cause.message);
  return isTakenForCommonJs
    ? `name it ${basename(absolute, ".js")}.mjs, or write "type": "module" into its package.json`
    : `node ${absolute} shows where`;
}

function isFunction(value: unknown): value is (...args: readonly unknown[]) => unknown {
  return typeof value === "function";
}
