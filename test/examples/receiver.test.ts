import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { thermometer } from "../../examples/receiver.ts";
import { ReceiverHarness } from "../support/receiver-harness.ts";

/** A thermometer that answers with these statuses, one after the other. */
async function device(
  statuses: readonly number[],
): Promise<{ readonly url: string; readonly close: () => void }> {
  const left = [...statuses];
  const server = createServer((_request, response) => {
    response.writeHead(left.shift() ?? 500).end('{"temperature":21.5}');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    url: `http://127.0.0.1:${address.port}/`,
    close: () => void server.close().closeAllConnections(),
  };
}

test("examples/receiver: stores what the thermometer says, and fails when it does", async () => {
  const { url, close } = await device([200, 200, 503]);
  const engine = new ReceiverHarness({});
  const session = await engine.open(thermometer("roof", { url, intervalMs: 500 }));
  const running = session.run?.() ?? Promise.resolve();
  const failed = assert.rejects(running, { message: `${url} answered 503` }).then(() => true);
  const moved = async (): Promise<boolean> => {
    await engine.clock.advance(500);
    await engine.commit();
    return false;
  };
  for (let done = false; !done; ) done = await Promise.race([failed, moved()]);
  assert.deepEqual(engine.durable, ['{"temperature":21.5}', '{"temperature":21.5}']);
  close();
});

test("examples/receiver: an interval below its range is refused at once", () => {
  assert.throws(() => thermometer("roof", { url: "http://10.0.0.7/", intervalMs: 5 }), {
    code: "CONFIG_OUT_OF_RANGE",
  });
});
