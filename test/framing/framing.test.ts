import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { delimited, lines } from "../../src/framing/delimited.ts";
import type { BlockSplitter, Framing } from "../../src/framing/framing.ts";
import { lengthPrefixed } from "../../src/framing/length-prefixed.ts";
import { octetCounting } from "../../src/framing/octet-counting.ts";
import { Workspace } from "../../src/framing/workspace.ts";

/** What a splitter made of a whole stream. */
interface Outcome {
  readonly messages: readonly string[];
  readonly refusedCode: string | undefined;
  readonly unfinished: string;
}

const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

/** Pushes a stream cut at these places, each piece with this headroom in front of it. */
function split(
  splitter: BlockSplitter,
  pieces: readonly Uint8Array[],
  headroomBytes: number,
): Outcome {
  const messages: string[] = [];
  let refusedCode: string | undefined;
  for (const piece of pieces) {
    const memory = new Uint8Array(headroomBytes + piece.length + 8).fill(0x0a);
    memory.set(piece, headroomBytes);
    const found = splitter.push(
      memory.subarray(headroomBytes, headroomBytes + piece.length),
      headroomBytes,
    );
    let start = found.valuesStart;
    for (const end of found.valueEnds.subarray(0, found.count)) {
      messages.push(latin(found.values.subarray(start, end - found.delimiterBytes)));
      start = end;
    }
    refusedCode ??= found.refused?.error.code;
  }
  return { messages, refusedCode, unfinished: latin(splitter.unfinished()) };
}

function cut(stream: Uint8Array, places: readonly number[]): readonly Uint8Array[] {
  const ends = [...places.map((place) => place % (stream.length + 1)), stream.length].toSorted(
    (a, b) => a - b,
  );
  return ends.map((end, i) => stream.subarray(ends[i - 1] ?? 0, end));
}

/** Lines as one would write them without thinking of speed. */
function naive(stream: string, delimiter: string, messageBytesMax: number): Outcome {
  const parts = stream.split(delimiter);
  const tail = parts.pop() ?? "";
  const messages: string[] = [];
  for (const part of parts) {
    const message = delimiter === "\n" && part.endsWith("\r") ? part.slice(0, -1) : part;
    if (message.length > messageBytesMax)
      return { messages, refusedCode: "MESSAGE_TOO_LONG", unfinished: "" };
    if (message !== "") messages.push(message);
  }
  const allowed = messageBytesMax + (delimiter === "\n" ? 1 : delimiter.length - 1);
  if (tail.length > allowed) return { messages, refusedCode: "MESSAGE_TOO_LONG", unfinished: "" };
  return { messages, refusedCode: undefined, unfinished: tail };
}

const places = fc.array(fc.nat(), { maxLength: 12 });
const headroom = fc.constantFrom(0, 1, 3, 64);
/** Bytes that are likely to hold delimiters, whole and in part. */
const anyStream = fc
  .array(fc.constantFrom("a", "bc", "\n", "\r", "\r\n", "|", "||", "|;", ";", "\0", "é"), {
    maxLength: 60,
  })
  .map((parts) => Buffer.from(parts.join(""), "latin1"));

for (const delimiter of ["\n", "|", "||", "|;|"]) {
  const framing = (max: number): Framing =>
    delimiter === "\n"
      ? lines({ messageBytesMax: max })
      : delimited({ delimiter, messageBytesMax: max });
  test(`framing: any chunking gives the messages of a naive split at ${JSON.stringify(delimiter)}`, () => {
    const workspace = new Workspace();
    fc.assert(
      fc.property(
        anyStream,
        places,
        headroom,
        fc.constantFrom(1, 4, 1_000),
        (stream, at, room, max) => {
          const outcome = split(framing(max).blockSplitter(workspace, 9), cut(stream, at), room);
          assert.deepEqual(outcome, naive(latin(stream), delimiter, max));
        },
      ),
      { numRuns: 500 },
    );
  });
}

test("framing: byte by byte and all at once are the same, with ends that outgrow the first array", () => {
  const stream = Buffer.from("x\r\ny\n".repeat(2_000));
  const bytewise = [...stream].map((byte) => Uint8Array.of(byte));
  const whole = split(lines().blockSplitter(new Workspace(), 100), [Buffer.from(stream)], 0);
  assert.equal(whole.messages.length, 4_000);
  assert.deepEqual(split(lines().blockSplitter(new Workspace(), 100), bytewise, 0), whole);
});

test("lines: an end of line CR LF is stored as LF, so that values stay back to back", () => {
  const found = lines()
    .blockSplitter(new Workspace(), 100)
    .push(Buffer.from("a\r\n\r\n\nbb\r\nc\n"), 0);
  assert.equal(latin(found.values.subarray(0, found.valueEnds[2])), "a\nbb\nc\n");
  assert.deepEqual([...found.valueEnds.subarray(0, found.count)], [2, 5, 7]);
});

test("lines: without CR or empty lines the chunk itself is the block, not a copy", () => {
  const chunk = Buffer.from("a\nbb\nccc");
  const found = lines().blockSplitter(new Workspace(), 100).push(chunk, 0);
  assert.equal(found.values, chunk);
  assert.equal(found.count, 2);
});

test("lines: a beginning that was carried over is put into the headroom of the next chunk", () => {
  const splitter = lines().blockSplitter(new Workspace(), 100);
  splitter.push(Buffer.from("begin"), 0);
  const memory = Buffer.from("........ning\n");
  const found = splitter.push(memory.subarray(8), 8);
  assert.equal(latin(memory), "...beginning\n".padStart(13));
  assert.equal(found.values.buffer, memory.buffer);
});

test("lines: what came before a line that is too long is delivered, and nothing after it", () => {
  const splitter = lines().blockSplitter(new Workspace(), 4);
  const found = splitter.push(Buffer.from("a\nb\nlonger\nc\n"), 0);
  assert.equal(found.count, 2);
  assert.equal(found.refused?.error.message, "message of 6 bytes, limit 4");
  assert.equal(latin(found.refused?.bytes ?? new Uint8Array()), "longer");
  assert.equal(splitter.push(Buffer.from("d\n"), 0).count, 0);
});

test("lines: a line without an end is refused at the limit, before memory is taken for it", () => {
  const splitter = lines().blockSplitter(new Workspace(), 1_000);
  let pushed = 0;
  let refused = false;
  while (!refused) {
    refused = splitter.push(Buffer.alloc(100, 0x61), 0).refused !== undefined;
    pushed += 100;
    assert.ok(splitter.unfinishedBytes <= 1_001);
  }
  assert.equal(pushed, 1_100);
});

test("lines: a line of exactly the limit passes, with CR LF too", () => {
  const outcome = split(
    lines().blockSplitter(new Workspace(), 3),
    [Buffer.from("abc\r"), Buffer.from("\nabc\n")],
    0,
  );
  assert.deepEqual(outcome, { messages: ["abc", "abc"], refusedCode: undefined, unfinished: "" });
});

test("framing: a message that holds the delimiter cannot be framed", () => {
  assert.throws(() => lines().frame("a\nb"), { code: "BLOCK_INVALID" });
  assert.throws(() => lines({ messageBytesMax: 2 }).frame("abc"), { code: "MESSAGE_TOO_LONG" });
  assert.equal(latin(delimited({ delimiter: "||" }).frame("abc")), "abc||");
});

test("framing: options out of range are refused with the range", () => {
  for (const make of [
    () => delimited({ delimiter: "" }),
    () => delimited({ delimiter: "x".repeat(256) }),
    () => lines({ messageBytesMax: 0 }),
    () => lines({ messageBytesMax: 2 ** 30 }),
    () => lengthPrefixed({ prefixBytes: 1, messageBytesMax: 256 }),
    () => lengthPrefixed({ prefixBytes: Number("3") === 3 ? JSON.parse("3") : 1 }),
  ]) {
    assert.throws(make, { code: "CONFIG_OUT_OF_RANGE" });
  }
});

for (const prefixBytes of [1, 2, 4] as const) {
  for (const endian of ["big", "little"] as const) {
    test(`lengthPrefixed: any chunking gives the messages that were framed, ${prefixBytes} bytes ${endian}-endian`, () => {
      const framing = lengthPrefixed({ prefixBytes, endian });
      const workspace = new Workspace();
      fc.assert(
        fc.property(
          fc.array(fc.string({ unit: "binary-ascii", maxLength: 40 })),
          places,
          headroom,
          fc.nat(30),
          (messages, at, room, missing) => {
            const stream = Buffer.concat(
              [...messages, "last"].map((message) => framing.frame(message)),
            );
            const cutOff = stream.subarray(0, stream.length - Math.min(missing, prefixBytes + 4));
            const outcome = split(framing.blockSplitter(workspace, 100), cut(cutOff, at), room);
            const whole = missing === 0 ? [...messages, "last"] : messages;
            assert.deepEqual(outcome.messages, whole);
            assert.equal(
              outcome.unfinished.length,
              missing === 0 ? 0 : Math.max(0, prefixBytes + 4 - missing),
            );
          },
        ),
        { numRuns: 150 },
      );
    });
  }
}

test("lengthPrefixed: a length over the limit is refused when the prefix is there, with both numbers", () => {
  const splitter = lengthPrefixed({ prefixBytes: 4 }).blockSplitter(new Workspace(), 1_000);
  assert.equal(splitter.push(Buffer.of(0, 0, 0, 1, 0x61, 0xff, 0xff), 0).count, 1);
  const found = splitter.push(Buffer.of(0xff, 0xff), 0);
  assert.equal(found.refused?.error.message, "message of 4294967295 bytes, limit 1000");
  assert.equal(splitter.unfinishedBytes, 0);
});

test("lengthPrefixed: random bytes never throw, and never take more than the limit", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), places, (bytes, at) => {
      const splitter = lengthPrefixed({ prefixBytes: 2 }).blockSplitter(new Workspace(), 300);
      split(splitter, cut(bytes, at), 0);
      assert.ok(splitter.unfinishedBytes <= 302);
    }),
    { numRuns: 200 },
  );
});

test("octetCounting: any chunking gives the messages that were framed", () => {
  const framing = octetCounting();
  const workspace = new Workspace();
  const message = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 120 });
  fc.assert(
    fc.property(fc.array(message), places, headroom, fc.nat(9), (messages, at, room, missing) => {
      const stream = Buffer.concat([...messages, "the last"].map((each) => framing.frame(each)));
      const cutOff = stream.subarray(0, stream.length - missing);
      const outcome = split(framing.blockSplitter(workspace, 200), cut(cutOff, at), room);
      const unfinished = missing === 0 ? "" : "8 the last".slice(0, -missing);
      const whole = missing === 0 ? [...messages, "the last"] : messages;
      assert.deepEqual(outcome, { messages: whole, refusedCode: undefined, unfinished });
    }),
    { numRuns: 200 },
  );
});

test("octetCounting: what is no length is refused with what was there, wherever the chunk ends", () => {
  for (const wrong of ["hello", " 5 a", "0 a", "05 a", "5x", "-1 a", "12345678", "5\n"]) {
    for (let at = 0; at <= wrong.length; at++) {
      const bytes = Buffer.from(`2 ok${wrong}`);
      const pieces = [Buffer.from(bytes.subarray(0, 4 + at)), Buffer.from(bytes.subarray(4 + at))];
      const splitter = octetCounting().blockSplitter(new Workspace(), 100);
      const { messages, refusedCode } = split(splitter, pieces, 0);
      assert.deepEqual([messages, refusedCode], [["ok"], "FRAME_INVALID"], `${wrong} at ${at}`);
    }
  }
  const found = octetCounting().blockSplitter(new Workspace(), 100).push(Buffer.from("x5 a"), 0);
  assert.match(found.refused?.error.message ?? "", /begins with "x5 a", wanted are 1 to 7 digits/);
});

test("octetCounting: a length over the limit is refused before its message comes; nothing cannot be framed", () => {
  const splitter = octetCounting().blockSplitter(new Workspace(), 100);
  const { refused } = splitter.push(Buffer.from("101 a"), 0);
  assert.equal(refused?.error.message, "message of 101 bytes, limit 100");
  assert.throws(() => octetCounting().frame(""), { code: "BLOCK_INVALID" });
  assert.throws(() => octetCounting({ messageBytesMax: 2 }).frame("abc"), {
    code: "MESSAGE_TOO_LONG",
  });
});

test("octetCounting: random bytes never throw, and never take more than the limit", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9 a]{0,80}$/), places, (text, at) => {
      const splitter = octetCounting().blockSplitter(new Workspace(), 30);
      split(splitter, cut(Buffer.from(text), at), 0);
      assert.ok(splitter.unfinishedBytes <= 33);
    }),
  );
});

test("splitter: gives messages as copies that outlive the chunk", () => {
  const splitter = lines().splitter();
  const chunk = Buffer.from("one\ntw");
  const [one] = splitter.push(chunk);
  assert.equal(splitter.unfinishedBytes, 2);
  chunk.fill(0);
  const [two] = splitter.push(Buffer.from("o\n"));
  assert.deepEqual(
    [one, two].map((message) => latin(message ?? new Uint8Array())),
    ["one", "two"],
  );
});

test("splitter: throws what is refused after it gave what came before", () => {
  const splitter = lines({ messageBytesMax: 3 }).splitter();
  assert.equal(splitter.push(Buffer.from("abc\nabcd\n")).length, 1);
  assert.throws(() => splitter.push(Buffer.from("a\n")), { code: "MESSAGE_TOO_LONG" });
  assert.throws(() => lines({ messageBytesMax: 3 }).splitter().push(Buffer.from("abcd\n")), {
    code: "MESSAGE_TOO_LONG",
  });
});
