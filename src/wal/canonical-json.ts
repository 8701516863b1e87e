/**
 * JSON in one form: keys sorted, no spaces. Equal values are equal bytes, so files can be compared.
 */
import { HoldfastError } from "../errors.ts";

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/** The text of a value; keys whose value is undefined are left out. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields: string[] = [];
  for (const key of Object.keys(value).toSorted()) {
    const field = value[key];
    if (field !== undefined) fields.push(`${JSON.stringify(key)}:${canonicalJson(field)}`);
  }
  return `{${fields.join(",")}}`;
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/**
 * Reads the fields of a decoded object and says which one is wrong. Its checks are the only way from
 * unknown JSON into types; what fails them was written by a program with a bug or by nobody.
 */
export class FieldReader {
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #what: string;

  constructor(value: unknown, what: string) {
    this.#what = what;
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw this.#wrong("an object", value);
    this.#fields = new Map<string, unknown>(Object.entries(value));
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  keys(): readonly string[] {
    return [...this.#fields.keys()];
  }

  text(name: string): string {
    const value = this.#fields.get(name);
    if (typeof value !== "string") throw this.#wrong("text", value, name);
    return value;
  }

  /** A number of 0 .. 2^53-1. */
  integer(name: string): number {
    const value = this.#fields.get(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
      throw this.#wrong("an integer from 0", value, name);
    return value;
  }

  number(name: string): number {
    const value = this.#fields.get(name);
    if (typeof value !== "number") throw this.#wrong("a number", value, name);
    return value;
  }

  object(name: string): FieldReader {
    return new FieldReader(this.#fields.get(name), `${this.#what}.${name}`);
  }

  list(name: string): readonly unknown[] {
    const value: unknown = this.#fields.get(name);
    if (!Array.isArray(value)) throw this.#wrong("a list", value, name);
    return value;
  }

  /** Every field, read by `read`. */
  record<T>(read: (reader: FieldReader, key: string) => T): Readonly<Record<string, T>> {
    const entryOf = (key: string): readonly [string, T] => [key, read(this, key)];
    return Object.fromEntries(this.keys().map(entryOf));
  }

  #wrong(expected: string, value: unknown, name?: string): HoldfastError {
    const where = name === undefined ? this.#what : `${this.#what}.${name}`;
    return new HoldfastError(
      "LOG_DAMAGED",
      `${where} is ${JSON.stringify(value) ?? "missing"}, expected ${expected}`,
    );
  }
}
