import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { listFiles, readText, repositoryRoot } from "../support/repository.ts";

const root = repositoryRoot();
const PAGE = readText(root, "docs/events.md");
const PUBLIC = readText(root, "src/contract/events.ts");
const INTERNAL = readText(root, "src/contract/unit.ts");

interface Listed {
  readonly name: string;
  /** Sorted; undefined where the code names a type instead. */
  readonly fields: readonly string[] | undefined;
}

const fieldsIn = (body: string): readonly string[] =>
  Array.from(body.matchAll(/readonly (\w+)\??:/g), ([, field = ""]) => field).toSorted();

/** The members of `interface Events`: one entry for each, two spaces deep. */
function publicEvents(): readonly Listed[] {
  const body = /^export interface Events \{\n(.*?)^\}$/ms.exec(PUBLIC)?.[1] ?? "";
  return Array.from(
    body.matchAll(/^ {2}"([a-z-]+)": (\w+;|\{.*?(?:^ {2}| )\};)$/gms),
    ([, name = "", type = ""]) => ({
      name,
      fields: type.startsWith("{") ? nested(type) : undefined,
    }),
  );
}

/** Fields of the outermost object only. */
function nested(type: string): readonly string[] {
  return fieldsIn(type.replaceAll(/readonly \{[^}]*\}\[\]/g, "x"));
}

/** The members of the union `UnitEvent`. */
function unitEvents(): readonly Listed[] {
  const body = /^export type UnitEvent =\n(.*?)^ {4}\};$/ms.exec(INTERNAL)?.[0] ?? "";
  return body.split(/^ {2}\| /m).flatMap((member) => {
    const name = /kind: "([a-z-]+)"/.exec(member)?.[1];
    const fields = fieldsIn(member).filter((field) => !["kind", "unit", "epoch"].includes(field));
    return name === undefined ? [] : [{ name, fields }];
  });
}

/** Rows of the table below a heading. */
function documented(heading: string): readonly Listed[] {
  const section = PAGE.split(/^## /m).find((each) => each.startsWith(heading)) ?? "";
  const [, table = ""] = /^\| (?:event|kind) \|.*\n\| ---.*\n((?:\|.*\n)+)/m.exec(section) ?? [];
  return Array.from(
    table.matchAll(/^\| `([a-z-]+)` \|([^|]*)\|/gm),
    ([, name = "", fields = ""]) => ({
      name,
      fields: fields
        .split(",")
        .map((field) => field.trim())
        .filter(Boolean)
        .toSorted(),
    }),
  );
}

function check(code: readonly Listed[], page: readonly Listed[]): void {
  ok(code.length > 5);
  deepEqual(page.map(({ name }) => name).toSorted(), code.map(({ name }) => name).toSorted());
  for (const { name, fields } of code) {
    if (fields === undefined) continue;
    deepEqual(page.find((each) => each.name === name)?.fields, fields, name);
  }
}

test("events: docs/events.md lists every public event with its fields, and no other", () => {
  check(publicEvents(), documented("Of an ingest"));
});

test("events: docs/events.md lists every event of a unit with its fields, and no other", () => {
  check(unitEvents(), documented("Of a supervision tree"));
});

test("events: every reason for which a message is dropped is explained", () => {
  const reasons = /^export type DropReason =\n(.*?);$/ms.exec(INTERNAL)?.[1] ?? "";
  const table = PAGE.slice(PAGE.indexOf("| why | |"));
  deepEqual(
    Array.from(table.matchAll(/^\| `([a-z-]+)` \|/gm), ([, why = ""]) => why).toSorted(),
    Array.from(reasons.matchAll(/"([a-z-]+)"/g), ([, why = ""]) => why).toSorted(),
  );
});

test("events: each of them is told by the code, those of units under their public names too", () => {
  const code = listFiles(root)
    .filter((path) => /^(src|receivers|supervisors)\/.*\.ts$/.test(path))
    .filter((path) => !path.startsWith("src/contract/"))
    .map((path) => readText(root, path));
  const told = new Set(
    code.flatMap((text) => Array.from(text.matchAll(/emit\(\s*"([a-z-]+)"/g), ([, name]) => name)),
  );
  const kinds = unitEvents().map(({ name }) => name);
  const published = kinds.map((kind) => (kind === "started" ? "unit-restarted" : `unit-${kind}`));
  const names = publicEvents().map(({ name }) => name);
  deepEqual(
    names.filter((name) => !told.has(name) && !published.includes(name)),
    [],
  );
  deepEqual(
    published.filter((name) => !names.includes(name)),
    [],
  );
  const all = code.join("\n");
  deepEqual(
    kinds.filter((kind) => !all.includes(`kind: "${kind}"`)),
    [],
  );
});
