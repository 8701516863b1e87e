import { fileURLToPath } from "node:url";
import { realFiles } from "../host/real-files.ts";

/** The version of the package that this file is part of. */
export async function readVersion(): Promise<string> {
  const path = fileURLToPath(new URL("../../../package.json", import.meta.url));
  const description: unknown = JSON.parse(new TextDecoder().decode(await realFiles.readFile(path)));
  return typeof description === "object" && description !== null && "version" in description
    ? String(description.version)
    : "";
}
