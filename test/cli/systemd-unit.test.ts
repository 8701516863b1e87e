import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { FINAL_EXIT_CODES } from "../../src/cli/exit-codes.ts";
import { GRACE_MS, STOP_DEADLINE_MS } from "../../src/cli/runner.ts";
import { systemdUnit, type UnitFacts } from "../../src/cli/systemd-unit.ts";
import { programPath } from "../support/running-program.ts";
import { LIMIT } from "./log-place.ts";
import { type Ended, holdfast, inDirectory } from "./support.ts";

const facts: UnitFacts = {
  command: ["/usr/bin/node", "/opt/holdfast.js", "run", "/etc/holdfast/holdfast.yaml"],
  workingDirectory: "/etc/holdfast",
  dataVariable: "/var/lib/holdfast",
  hasStateDirectory: true,
  writable: [],
};

/** Value of a directive, which has to be there once. */
function value(unit: string, name: string): string {
  const found = Array.from(unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm")), ([, text]) => text);
  equal(found.length, 1, name);
  return found[0] ?? "";
}

const seconds = (unit: string, name: string): number => Number(value(unit, name));

test("systemd unit: what no restart mends is not restarted", () => {
  equal(value(systemdUnit(facts), "RestartPreventExitStatus"), FINAL_EXIT_CODES.join(" "));
});

test("systemd unit: the start limit can be reached", () => {
  const unit = systemdUnit(facts);
  const busy = seconds(unit, "RestartSec") * seconds(unit, "StartLimitBurst");
  ok(busy < seconds(unit, "StartLimitIntervalSec"));
});

test("systemd unit: a stop has the time that it takes at most", () => {
  const ownMs = STOP_DEADLINE_MS + GRACE_MS;
  ok(seconds(systemdUnit(facts), "TimeoutStopSec") * 1_000 > ownMs);
});

test("systemd unit: data in the service's own directory needs no other", () => {
  const unit = systemdUnit(facts);
  deepEqual(
    ["StateDirectory", "Environment", "ProtectHome", "PrivateTmp"].map((each) => value(unit, each)),
    ["holdfast", "DATA_DIR=/var/lib/holdfast", "yes", "yes"],
  );
  equal(unit.includes("ReadWritePaths"), false);
});

test("systemd unit: data elsewhere is made writable, and the head says how to make it", () => {
  const unit = systemdUnit({
    ...facts,
    dataVariable: undefined,
    hasStateDirectory: false,
    writable: ["/srv/my data", "/srv/out"],
  });
  equal(value(unit, "ReadWritePaths"), '"/srv/my data" /srv/out');
  match(unit, /^# {3}sudo install -d -o holdfast -g holdfast -m 0700 '\/srv\/my data'$/m);
  equal(/StateDirectory|DATA_DIR/.test(unit), false);
});

test("systemd unit: words are quoted, specifiers and variables are not followed", () => {
  const unit = systemdUnit({
    ...facts,
    command: ["/usr/bin/node", '/opt/a b/100%/$HOME/"x".js', "run"],
    workingDirectory: "/srv/100% mine",
    dataVariable: "/srv/a b",
  });
  equal(value(unit, "ExecStart"), '/usr/bin/node "/opt/a b/100%%/$$HOME/\\"x\\".js" run');
  equal(value(unit, "WorkingDirectory"), "/srv/100%% mine");
  equal(value(unit, "Environment"), '"DATA_DIR=/srv/a b"');
});

for (const [folder, home, temporary] of [
  ["home/me", "read-only", "yes"],
  ["root", "read-only", "yes"],
  ["tmp", "yes", "no"],
  ["homes/me", "yes", "yes"],
] as const) {
  const path = `/${folder}/app.js`;
  test(`systemd unit: ${path} stays visible to the service`, () => {
    const unit = systemdUnit({ ...facts, command: ["/usr/bin/node", path] });
    deepEqual([value(unit, "ProtectHome"), value(unit, "PrivateTmp")], [home, temporary]);
  });
}

/** What `init --systemd` prints for a configuration, with what it leaves in the directory. */
async function printed(
  directory: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const before = await readdir(directory);
  const ended = await holdfast(["init", "--systemd"], { directory, environment });
  deepEqual(await readdir(directory), before);
  return ended;
}

const ANALYZE = "systemd-analyze";
const hasVerify = spawnSync(ANALYZE, ["--version"], { stdio: "ignore" }).status === 0;

/** Nothing to say is content: warnings end with 0 too. */
function verify(file: string): void {
  const { status, stdout, stderr } = spawnSync(ANALYZE, ["verify", "--man=no", file], {
    encoding: "utf8",
  });
  deepEqual([status, stdout, stderr], [0, "", ""]);
}

test(
  "init --systemd: systemd-analyze has nothing to say about the unit",
  { ...LIMIT, skip: hasVerify ? false : "this machine has no systemd-analyze" },
  () =>
    inDirectory(async (directory) => {
      const place = join(directory, "a gateway");
      await mkdir(place);
      equal((await holdfast(["init"], { directory: place })).code, 0);
      const { code, stdout, stderr } = await printed(place);
      deepEqual([code, stderr], [0, ""]);
      const file = join(directory, "holdfast.service");
      await writeFile(file, stdout);
      verify(file);
      const elsewhere = await printed(place, { DATA_DIR: "/srv/100% data" });
      await writeFile(file, elsewhere.stdout);
      verify(file);
    }),
);

test("init --systemd: the configuration that init writes keeps its data in /var/lib", LIMIT, () =>
  inDirectory(async (directory) => {
    await holdfast(["init"], { directory });
    const { stdout } = await printed(directory);
    equal(
      value(stdout, "ExecStart"),
      `${process.execPath} ${programPath} run ${directory}/holdfast.yaml`,
    );
    equal(value(stdout, "WorkingDirectory"), directory);
    equal(value(stdout, "Environment"), "DATA_DIR=/var/lib/holdfast");
    equal(stdout.includes("ReadWritePaths"), false);
  }),
);

test("init --systemd: DATA_DIR as it is set, another directory, and where sinks write", LIMIT, () =>
  inDirectory(async (directory) => {
    await holdfast(["init"], { directory });
    const set = (await printed(directory, { DATA_DIR: "/srv/gateway" })).stdout;
    equal(value(set, "Environment"), "DATA_DIR=/srv/gateway");
    equal(value(set, "ReadWritePaths"), "/srv/gateway");
    equal(set.includes("StateDirectory"), false);
    await writeFile(
      join(directory, "holdfast.yaml"),
      `version: 1
data: ./kept
receivers: { meters: { type: tcp, port: 9000 } }
sinks:
  files: { type: json-lines, directory: /srv/out }
  inner: { type: json-lines, directory: ./kept/out }
pipelines: { readings: { from: meters, decode: json, sinks: [files, inner] } }
`,
    );
    const other = (await printed(directory)).stdout;
    equal(value(other, "ReadWritePaths"), `${directory}/kept /srv/out`);
    equal(/StateDirectory|DATA_DIR/.test(other), false);
  }),
);

test("init --systemd: of a directory that is named, not of this one", LIMIT, () =>
  inDirectory(async (directory) => {
    await holdfast(["init", "gateway"], { directory });
    const { code, stdout } = await holdfast(["init", "--systemd", "gateway"], { directory });
    equal(code, 0);
    equal(value(stdout, "WorkingDirectory"), join(directory, "gateway"));
  }),
);

test("init --systemd: without a configuration, or with a broken one, there is no unit", LIMIT, () =>
  inDirectory(async (directory) => {
    const missing = await printed(directory);
    deepEqual([missing.code, missing.stdout], [78, ""]);
    match(missing.stderr, /^CONFIG_NOT_FOUND: /);
    await writeFile(
      join(directory, "holdfast.yaml"),
      "version: 1\nreceivers: { m: { type: tpc } }\n",
    );
    const broken = await printed(directory);
    deepEqual([broken.code, broken.stdout], [78, ""]);
    match(broken.stderr, /did you mean "tcp"/);
    await mkdir(join(directory, "two\nlines"));
    await holdfast(["init", "two\nlines"], { directory });
    const { code, stderr } = await holdfast(["init", "--systemd", "two\nlines"], { directory });
    equal(code, 64);
    match(stderr, /^USAGE: .*has a line break/);
  }),
);
