import assert from "node:assert/strict";
import { test } from "node:test";
import { PeerWarnings } from "../../src/record/peer-warnings.ts";
import { recordingLogger } from "../observe/recording-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

test("peer warnings: each reason once a minute, four of a code at most, with how many there were", async () => {
  const clock = new VirtualClock();
  const { logger, lines } = recordingLogger();
  const warnings = new PeerWarnings({ clock, logger });
  const told = (): readonly unknown[] =>
    lines.splice(0).map(({ message, fields }) => [message, fields["code"], fields["count"]]);
  for (const reason of ["password", "password", "topic", "password", "c", "d", "e", "f", "e"])
    warnings.warn("a peer", reason, "CONNECTION_REFUSED");
  warnings.warn("b", "frame", "PROTOCOL_VIOLATION");
  assert.deepEqual(told(), [
    ["connection of a peer password", "CONNECTION_REFUSED", 1],
    ["connection of a peer topic", "CONNECTION_REFUSED", 2],
    ["connection of a peer c", "CONNECTION_REFUSED", 2],
    ["connection of a peer d", "CONNECTION_REFUSED", 1],
    ["connection of b frame", "PROTOCOL_VIOLATION", 1],
  ]);
  await clock.advance(60_000);
  warnings.warn("a peer", "password", "CONNECTION_REFUSED");
  assert.deepEqual(told(), [["connection of a peer password", "CONNECTION_REFUSED", 4]]);
});
