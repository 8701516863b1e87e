import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { type Gunzip, Inflater, INFLATING_MAX } from "../../../receivers/http/inflate.ts";
import { type Deferred, deferred } from "../../support/deferred.ts";
import { settle } from "../../support/receiver-harness.ts";

test("http inflate: a few bodies unpack at a time, in order; one that is refused gives its turn back", async () => {
  const running: Deferred<Uint8Array>[] = [];
  let startedCount = 0;
  const unpack: Gunzip = () => {
    startedCount++;
    const each = deferred<Uint8Array>();
    running.push(each);
    return each.promise;
  };
  const inflater = new Inflater({ bodyBytesMax: 100 }, unpack);
  const bodies = Array.from({ length: 3 * INFLATING_MAX }, (_, index) =>
    inflater.inflate("gzip", Buffer.of(index)).then(
      () => "unpacked",
      () => "refused",
    ),
  );
  for (let endedCount = 0; endedCount < bodies.length; endedCount++) {
    await settle();
    assert.equal(startedCount, Math.min(bodies.length, endedCount + INFLATING_MAX));
    const each = running.shift();
    if (endedCount % 2 === 0) each?.reject(new Error("not gzip"));
    else each?.resolve(Buffer.of(1));
  }
  assert.deepEqual(
    await Promise.all(bodies),
    bodies.map((_, index) => (index % 2 === 0 ? "refused" : "unpacked")),
  );
});

test("http inflate: several members are one body, and what is cut off or comes behind is not gzip", async () => {
  const inflater = new Inflater({ bodyBytesMax: 5 });
  const two = Buffer.concat([gzipSync("1\n"), gzipSync("2\n")]);
  assert.equal(Buffer.from(await inflater.inflate("gzip", two)).toString(), "1\n2\n");
  for (const [body, code] of [
    [two.subarray(0, -1), "HTTP_BAD_REQUEST"],
    [Buffer.concat([two, gzipSync("3\n")]), "MESSAGE_TOO_LONG"],
    [Buffer.alloc(0), "HTTP_BAD_REQUEST"],
  ] as const)
    await assert.rejects(inflater.inflate("gzip", body), { code });
});
