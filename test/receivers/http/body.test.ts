import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RECORDS_MAX, splitBody } from "../../../receivers/http/body.ts";

function split(body: string, contentType = "application/json"): readonly string[] {
  return splitBody(contentType, Buffer.from(body)).map((record) => Buffer.from(record).toString());
}

test("http body: one JSON value is one record, as it came", () => {
  deepEqual(split('{ "a" : 1 }'), ['{ "a" : 1 }']);
  deepEqual(split("3", ""), ["3"]);
  deepEqual(split('{"a":1}', "Application/JSON; charset=utf-8"), ['{"a":1}']);
});

test("http body: the elements of an array are records with their own bytes", () => {
  deepEqual(split(' [ {"a": "],}"} , [1, 2], "x\\"," , 4 ] '), [
    '{"a": "],}"}',
    "[1, 2]",
    '"x\\","',
    "4",
  ]);
});

test("http body: any array is split into what each element was", () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue(), { minLength: 1 }),
      fc.integer({ min: 0, max: 3 }),
      (values, indent) => {
        deepEqual(
          split(JSON.stringify(values, undefined, indent)).map((text) => JSON.parse(text)),
          JSON.parse(JSON.stringify(values)),
        );
      },
    ),
  );
});

test("http body: a JSON value over several lines becomes one line that says the same", () => {
  deepEqual(split('{\r\n "a":\n 1 }\n'), ['{   "a":  1 }']);
  deepEqual(split('[\n{"a":\n"x\\n"}\n]'), ['{"a": "x\\n"}']);
});

test("http body: lines end with LF or CRLF, empty ones are no records", () => {
  deepEqual(split("a\r\n\n\r\nb\nc", "text/plain"), ["a", "b", "c"]);
  deepEqual(split("a\n", "application/x-ndjson"), ["a"]);
});

test("http body: more records than one request may hold are refused", () => {
  const lines = "1\n".repeat(RECORDS_MAX);
  deepEqual(split(lines, "text/plain").length, RECORDS_MAX);
  throws(() => split(`${lines}1`, "text/plain"), { code: "BLOCK_TOO_LARGE" });
  const array = `[1${",1".repeat(RECORDS_MAX - 1)}]`;
  deepEqual(split(array).length, RECORDS_MAX);
  throws(() => split(`[1,${array.slice(1)}`), {
    code: "BLOCK_TOO_LARGE",
    message: /65536 records/,
  });
});

test("http body: what is none is refused with the reason", () => {
  throws(() => split("{"), { code: "HTTP_BAD_REQUEST", message: /1 bytes is not JSON/ });
  throws(() => splitBody("application/json", Buffer.of(0x22, 0xff, 0x22)), {
    code: "HTTP_BAD_REQUEST",
    message: /not UTF-8/,
  });
  throws(() => split("[]"), { code: "HTTP_BAD_REQUEST", message: /0 records/ });
  throws(() => split("", "text/plain"), { code: "HTTP_BAD_REQUEST" });
  throws(() => split("a=1", "application/x-www-form-urlencoded"), {
    code: "HTTP_UNSUPPORTED_MEDIA_TYPE",
  });
});
