/** The client in docs/receiver-tcp.md stores each message once, whatever breaks. */
import { deepEqual, ok } from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { tcp } from "../../../receivers/tcp/index.ts";
import { ReceiverTrial } from "../../../src/testing/index.ts";
import { freePorts } from "../../support/free-port.ts";
import { readText, repositoryRoot } from "../../support/repository.ts";

type Reliable = (port: number, name: string) => (message: string) => void;

test("docs/receiver-tcp.md: its client sends each message once, over restarts and power cuts", async (context) => {
  const [, code = ""] =
    /^```js\n(.*?)^```$/ms.exec(readText(repositoryRoot(), "docs/receiver-tcp.md")) ?? [];
  ok(code.includes("function reliable"));
  const directory = await mkdtemp(join(tmpdir(), "holdfast-docs-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, "reliable.mjs");
  await writeFile(
    path,
    `${code.replace("dial, 1000)", "dial, 10).unref()")}\nexport { reliable };\n`,
  );
  const module: { readonly reliable: Reliable } = await import(pathToFileURL(path).href);
  const [port = 0] = await freePorts(1);
  await using trial = new ReceiverTrial((options) =>
    tcp("meters", { port, acknowledge: "count-line", ...options }),
  );
  await trial.start();
  const send = module.reliable(port, "meter-7");
  const sent: string[] = [];
  const some = (): void => {
    for (let count = 0; count < 20; count++) {
      sent.push(`${sent.length}`);
      send(`${sent.length - 1}`);
    }
  };
  for (let round = 0; round < 6; round++) {
    some();
    if (round % 2 === 0) await trial.until("records", () => trial.storedCount > sent.length - 15);
    if (round === 2) await trial.crash();
    else await trial.restart();
  }
  await trial.until("all records", () => trial.storedCount >= sent.length);
  await trial.quiet();
  deepEqual(await trial.records(), sent);
});
