/**
 * The data directory of a configuration, for commands that look at it: nothing else of the file is
 * checked, so that a broken pipeline does not keep anybody from their data.
 */
import { text } from "./fields.ts";
import { DATA_DEFAULT } from "./defaults.ts";
import { Problems } from "./problems.ts";
import { parseSource } from "./source.ts";
import { substitute, type SubstitutionSources } from "./substitution.ts";

/** The directory as the file says it. @throws the first CONFIG_ problem with it */
export async function readDataDirectory(
  input: SubstitutionSources & { readonly file: string; readonly text: string },
): Promise<string> {
  const problems = new Problems();
  const root = parseSource(input.file, input.text, problems);
  const written = root?.kind === "map" ? root.entries.get("data")?.value : undefined;
  const node = written === undefined ? undefined : await substitute(written, input, problems);
  const directory =
    node === undefined ? DATA_DEFAULT : text().read(node, { path: "data", problems });
  const [first] = problems.report().problems;
  if (first !== undefined) throw first;
  return directory ?? DATA_DEFAULT;
}
