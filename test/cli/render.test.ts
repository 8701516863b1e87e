import { equal, match } from "node:assert/strict";
import { test } from "node:test";
import { renderError, type RenderOptions, showCount, showTable } from "../../src/cli/render.ts";
import { HoldfastError } from "../../src/errors.ts";

const text = "version: 1\nreceivers:\n  meters: { type: tcp, port: 90000 }\n\tx: 1\n";
const plain: RenderOptions = {
  color: false,
  debug: false,
  textOf: (file) => (file === "h.yaml" ? text : undefined),
};

test("render: place, code, message, the line with a caret, and the fix", () => {
  const error = new HoldfastError("CONFIG_OUT_OF_RANGE", "port is 90000, allowed are 1 to 65535", {
    fix: "port: 9000",
    at: { file: "h.yaml", line: 3, column: 30, width: 5 },
  });
  equal(
    renderError(error, plain),
    [
      "h.yaml:3:30: CONFIG_OUT_OF_RANGE: port is 90000, allowed are 1 to 65535",
      "3 |   meters: { type: tcp, port: 90000 }",
      "                                 ^^^^^",
      "    fix: port: 9000",
    ].join("\n"),
  );
});

test("render: an error without a place is one line and its fix", () => {
  equal(
    renderError(
      new HoldfastError("PORT_IN_USE", "127.0.0.1:9000 is taken", { fix: "TCP_PORT=9001" }),
      plain,
    ),
    "PORT_IN_USE: 127.0.0.1:9000 is taken\n    fix: TCP_PORT=9001",
  );
});

test("render: a file that cannot be shown leaves out the line", () => {
  const error = new HoldfastError("CONFIG_VALUE", "wrong", {
    at: { file: "other.yaml", line: 1, column: 1 },
  });
  equal(renderError(error, plain), "other.yaml:1:1: CONFIG_VALUE: wrong");
});

test("render: a tab is shown as wide as it is counted", () => {
  const error = new HoldfastError("CONFIG_SYNTAX", "tab", {
    at: { file: "h.yaml", line: 4, column: 2, width: 1 },
  });
  equal(renderError(error, plain).split("\n").slice(1).join("\n"), "4 |  x: 1\n     ^");
});

test("render: a long line is cut around the caret", () => {
  const long = `a: [${"x".repeat(300)}, wrong]`;
  const error = new HoldfastError("CONFIG_VALUE", "no", {
    at: { file: "l.yaml", line: 1, column: long.indexOf("wrong") + 1, width: 5 },
  });
  const [, shown = "", caret = ""] = renderError(error, { ...plain, textOf: () => long }).split(
    "\n",
  );
  equal(shown.length <= 170, true);
  equal(shown.slice(caret.indexOf("^"), caret.indexOf("^") + 5), "wrong");
});

test("render: the caret never leaves the line", () => {
  const error = new HoldfastError("CONFIG_VALUE", "no", {
    at: { file: "l.yaml", line: 1, column: 4, width: 500 },
  });
  equal(renderError(error, { ...plain, textOf: () => "a: bcd" }).split("\n")[2], "       ^^^");
});

test("render: no stack without debug, all causes with it", () => {
  const error = new HoldfastError("INTERNAL", "outer", { cause: new TypeError("inner") });
  equal(renderError(error, plain), "INTERNAL: outer");
  match(
    renderError(error, { ...plain, debug: true }),
    /outer[\s\S]*at .*render\.test[\s\S]*caused by TypeError: inner/,
  );
});

test("render: colours only when asked", () => {
  const error = new HoldfastError("BUSY", "no room");
  equal(renderError(error, plain).includes("\u001b"), false);
  equal(renderError(error, { ...plain, color: true }), "\u001b[31;1mBUSY:\u001b[0m no room");
});

test("render: what is no error is shown as text", () => {
  equal(renderError("oops", plain), "INTERNAL: oops");
});

test("render: counts have their thousands apart", () => {
  equal([0, 999, 1204, 1234567].map(showCount).join(" "), "0 999 1,204 1,234,567");
});

test("render: columns are as wide as their widest cell", () => {
  equal(
    showTable([
      ["A", "BB"],
      ["longer", "x"],
    ]).join("\n"),
    "A       BB\nlonger  x",
  );
});
