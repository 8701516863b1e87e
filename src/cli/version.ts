import { createRequire } from "node:module";

/** The version of the package that this file is part of. */
export function readVersion(): string {
  const description: unknown = createRequire(import.meta.url)("holdfast/package.json");
  return typeof description === "object" && description !== null && "version" in description
    ? String(description.version)
    : "";
}
