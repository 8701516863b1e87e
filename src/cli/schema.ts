/**
 * `holdfast schema`: the JSON Schema of the configuration on stdout.
 */
import { configJsonSchema } from "../config/json-schema.ts";
import type { Call } from "./command.ts";

export async function main({ terminal }: Call): Promise<number> {
  terminal.print(JSON.stringify(await configJsonSchema(), null, 2));
  return 0;
}
