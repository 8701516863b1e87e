import { deepEqual, equal, match } from "node:assert/strict";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { COMMANDS } from "../../src/cli/commands.ts";
import { tlsPath } from "../support/tls-files.ts";
import { holdfast, inDirectory } from "./support.ts";

test("program: without arguments help goes to stderr, and that is wrong usage", async () => {
  const { code, stdout, stderr } = await holdfast([]);
  deepEqual([code, stdout], [64, ""]);
  match(stderr, /usage: holdfast COMMAND/);
});

test("program: help names every command", async () => {
  const { code, stdout } = await holdfast(["--help"]);
  equal(code, 0);
  for (const { name, summary } of COMMANDS)
    match(stdout, new RegExp(`^  ${name} +${summary}$`, "m"));
});

test("program: the version is that of the package", async () => {
  const path = new URL("../../../package.json", import.meta.url);
  const { version } = JSON.parse(await readFile(path, "utf8"));
  deepEqual(await holdfast(["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" });
});

test("program: every command has help, which runs nothing", async () => {
  const all = await Promise.all(COMMANDS.map(({ name }) => holdfast([name, "--help"])));
  for (const [index, { code, stdout }] of all.entries()) {
    equal(code, 0);
    match(stdout, new RegExp(`^usage: holdfast ${COMMANDS[index]?.name}`));
    match(stdout, /--debug {2,}show stack traces/);
  }
});

const wrongUsage: readonly (readonly [args: readonly string[], shown: string])[] = [
  [["rum"], 'USAGE: holdfast has no command "rum"\n    fix: did you mean "run"?\n'],
  [
    ["help", "validat"],
    'USAGE: holdfast has no command "validat"\n    fix: did you mean "validate"?\n',
  ],
  [
    ["validate", "--debgu"],
    'USAGE: holdfast validate has no option --debgu\n    fix: did you mean "--debug"?\n',
  ],
  [
    ["validate", "a", "b"],
    "USAGE: holdfast validate takes 0 to 1 arguments, it got 2\n    fix: holdfast validate [FILE]\n",
  ],
  [
    ["log"],
    "USAGE: holdfast log takes 1 argument, it got 0\n    fix: holdfast log inspect|verify|export|truncate|repair|adopt\n",
  ],
  [["schema", "--debug=yes"], 'USAGE: --debug takes no value, it got "yes"\n    fix: --debug\n'],
  [["log", "inspect", "--data"], "USAGE: --data needs a value\n    fix: --data DIR\n"],
  [
    ["run", "--log-level", "loud"],
    'USAGE: --log-level is "loud", allowed are debug, info, warn, error, silent\n    fix: --log-level info\n',
  ],
];

for (const [args, shown] of wrongUsage) {
  test(`program: holdfast ${args.join(" ")} is wrong usage`, async () => {
    deepEqual(await holdfast(args), { code: 64, stdout: "", stderr: shown });
  });
}

test("validate: a file that is not there", () =>
  inDirectory(async (directory) => {
    const { code, stderr } = await holdfast(["validate"], { directory });
    equal(code, 78);
    match(
      stderr,
      /^CONFIG_NOT_FOUND: holdfast.yaml is not there: \/.*\/holdfast.yaml\n {4}fix: holdfast init/,
    );
  }));

test("validate: everything that is wrong, with lines and carets, and no stack", () =>
  inDirectory(async (directory) => {
    await writeFile(
      join(directory, "holdfast.yaml"),
      "version: 1\nreceivers:\n  meters: { type: tcp, port: 90000, supervison: device }\n",
    );
    deepEqual(await holdfast(["validate"], { directory }), {
      code: 78,
      stdout: "",
      stderr: [
        "holdfast.yaml:3:30: CONFIG_OUT_OF_RANGE: port is 90000, allowed are 1 to 65535",
        "3 |   meters: { type: tcp, port: 90000, supervison: device }",
        "                                 ^^^^^",
        "    fix: port: 9000",
        'holdfast.yaml:3:37: CONFIG_KEY_UNKNOWN: tcp has no option "supervison"',
        "3 |   meters: { type: tcp, port: 90000, supervison: device }",
        "                                        ^^^^^^^^^^",
        '    fix: did you mean "supervision"?',
        "",
      ].join("\n"),
    });
  }));

test("validate: problems beyond the limit are counted", () =>
  inDirectory(async (directory) => {
    const keys = Array.from({ length: 25 }, (_, index) => `zzzzzz${index}: 1`);
    await writeFile(
      join(directory, "holdfast.yaml"),
      ["version: 1", "receivers: {}", ...keys].join("\n"),
    );
    const { stderr } = await holdfast(["validate"], { directory });
    match(stderr, /and 5 more\n$/);
  }));

test("validate: with --debug the stack is shown", () =>
  inDirectory(async (directory) => {
    match(
      (await holdfast(["validate", "--debug"], { directory })).stderr,
      /CONFIG_NOT_FOUND.*\n[\s\S]*\n {4}at /,
    );
  }));

test("init: what it writes is valid, and it never replaces anything", () =>
  inDirectory(async (directory) => {
    // As `npm init` writes it: a .js file is no ES module there.
    await writeFile(join(directory, "package.json"), '{ "type": "commonjs" }');
    const first = await holdfast(["init"], { directory });
    deepEqual([first.code, first.stderr], [0, ""]);
    match(
      first.stdout,
      /^created holdfast.yaml \(commented, runs as it is\), steps.mjs; next: holdfast run, then echo .* \| nc -N 127.0.0.1 9000\n$/,
    );
    deepEqual(await holdfast(["validate"], { directory }), {
      code: 0,
      stdout: "holdfast.yaml is valid: 1 receiver, 1 pipeline, 1 output\n",
      stderr: "",
    });
    await writeFile(join(directory, "holdfast.yaml"), "mine");
    const second = await holdfast(["init"], { directory });
    equal(second.code, 78);
    match(second.stderr, /CONFIG_CONFLICT: .*holdfast.yaml is there already/);
    equal(await readFile(join(directory, "holdfast.yaml"), "utf8"), "mine");
  }));

test("validate: a module that a package.json calls CommonJS is told how to be one", () =>
  inDirectory(async (directory) => {
    equal((await holdfast(["init"], { directory })).code, 0);
    await writeFile(join(directory, "package.json"), '{ "type": "commonjs" }');
    await rename(join(directory, "steps.mjs"), join(directory, "steps.js"));
    const yaml = await readFile(join(directory, "holdfast.yaml"), "utf8");
    await writeFile(join(directory, "holdfast.yaml"), yaml.replace("steps.mjs", "steps.js"));
    const { code, stderr } = await holdfast(["validate"], { directory });
    equal(code, 78);
    match(
      stderr,
      /CONFIG_MODULE: .*'export'[\s\S]*fix: name it steps.mjs, or write "type": "module"/,
    );
  }));

test("validate: a receiver that no pipeline reads is a warning", () =>
  inDirectory(async (directory) => {
    await writeFile(
      join(directory, "holdfast.yaml"),
      [
        "version: 1",
        "receivers: { read: { type: rate }, forgotten: { type: rate } }",
        "sinks: { kept: { type: raw-lines, directory: ./out } }",
        "pipelines: { keep: { from: [read], decode: raw, sinks: [kept] } }",
      ].join("\n"),
    );
    const { code, stdout, stderr } = await holdfast(["validate"], { directory });
    deepEqual([code, stderr], [0, ""]);
    match(stdout, /is valid: 2 receivers, .*\nwarning: no pipeline reads forgotten: .*\n$/);
  }));

test("init: nothing is written when only one of the files is there", () =>
  inDirectory(async (directory) => {
    await writeFile(join(directory, "steps.mjs"), "mine");
    equal((await holdfast(["init"], { directory })).code, 78);
    equal((await holdfast(["validate"], { directory })).code, 78);
  }));

test("init: another directory is made", () =>
  inDirectory(async (directory) => {
    match(
      (await holdfast(["init", "gateway/a"], { directory })).stdout,
      /^created gateway\/a\/holdfast.yaml .* next: holdfast run gateway\/a\/holdfast.yaml/,
    );
    equal((await holdfast(["validate", "gateway/a/holdfast.yaml"], { directory })).code, 0);
  }));

test("schema: a JSON Schema on stdout", async () => {
  const { code, stdout, stderr } = await holdfast(["schema"]);
  deepEqual([code, stderr], [0, ""]);
  equal(JSON.parse(stdout).$schema, "https://json-schema.org/draft/2020-12/schema");
});

test("validate: files that options name are looked at, all of them, and each mistake has its place", () =>
  inDirectory(async (directory) => {
    const tls = (kind: string): string => `{ cert: ${tlsPath("first", "cert")}, key: ${kind} }`;
    await writeFile(join(directory, "passwords"), "\n");
    const lines = [
      "version: 1",
      "receivers:",
      `  right: { type: tcp, port: 1, tls: ${tls(tlsPath("first", "key"))} }`,
      "  no-key: { type: tcp, port: 2, tls: { cert: ./cert.pem, key: ./key.pem } }",
      `  other-key: { type: http, port: 3, tls: ${tls(tlsPath("second", "key"))} }`,
      `  swapped: { type: websocket, port: 4, tls: ${tls(tlsPath("first", "cert"))} }`,
      `  nobody: { type: mqtt-listener, port: 5, passwordFile: ${join(directory, "passwords")} }`,
      "  feed: { type: websocket-client, url: 'wss://feed', tls: { ca: ./ca.pem } }",
      "  field: { type: mqtt, url: 'mqtts://broker', topics: [a], tls: { ca: ./ca.pem } }",
      "  orders: { type: kafka, brokers: ['k:9092'], topics: [a], tls: { ca: ./ca.pem } }",
      "sources:",
      "  direct: { type: kafka, brokers: ['k:9092'], topics: [a], tls: { ca: ./ca.pem } }",
      "sinks:",
      "  there: { type: http, url: 'https://there/', tls: { ca: ./ca.pem } }",
      "pipelines:",
      "  keep: { from: [right], decode: raw, sinks: [there] }",
    ];
    await writeFile(join(directory, "holdfast.yaml"), lines.join("\n"));
    const { code, stderr } = await holdfast(["validate"], { directory });
    equal(code, 78);
    match(stderr, /passwordFile: .* has 0 users, so nobody could connect/);
    const told = Array.from(
      stderr.matchAll(/^holdfast.yaml:(\d+):\d+: CONFIG_VALUE: (\S+): (\S+): /gm),
      ([, line, owner, option]) => `${line} ${owner} ${option}`,
    );
    deepEqual(told, [
      "4 no-key tls.cert",
      "5 other-key tls.key",
      "6 swapped tls.key",
      "7 nobody passwordFile",
      "8 feed tls.ca",
      "9 field tls.ca",
      "10 orders tls.ca",
      "12 direct tls.ca",
      "14 there tls.ca",
    ]);
  }));
