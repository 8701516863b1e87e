/**
 * The client in docs/receiver-websocket.md keeps what is not counted.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { WebSocket } from "ws";
import { readText, repositoryRoot } from "../../support/repository.ts";
import { committingUntil, until, webSocketScene } from "../../support/websocket-scene.ts";

test("docs/receiver-websocket.md: the client sends again what was not counted, and nothing else", async (t) => {
  const page = readText(repositoryRoot(), "docs/receiver-websocket.md");
  const code = /^```js\n(.*?)^```$/ms.exec(page)?.[1] ?? "";
  const reconnects: (() => void)[] = [];
  const reliable: (url: string) => (message: string) => void = runInNewContext(
    `${code}; reliable`,
    { WebSocket, setTimeout: (reconnect: () => void) => reconnects.push(reconnect) },
  );
  const { engine, url, end } = await webSocketScene();
  t.after(end);
  const send = reliable(url);
  send("a");
  send("b");
  await committingUntil(engine, () => engine.durable.length === 2);
  send("c");
  await until(() => engine.inflightBlocks.flat().length === 1);
  // The block fails and its connection ends: `c` is not counted.
  await engine.failOldest(new Error("no room"));
  await until(() => reconnects.length === 1);
  reconnects[0]?.();
  await committingUntil(engine, () => engine.durable.length === 3);
  assert.deepEqual(engine.durable, ["a", "b", "c"]);
});
