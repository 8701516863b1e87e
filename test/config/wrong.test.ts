import { equal } from "node:assert/strict";
import { test } from "node:test";
import { type FakeModules, rendered } from "./support.ts";
import { receiverTypes } from "../../src/config/registry.ts";

const modules: FakeModules = { "/work/steps.js": { receipt: (row: unknown) => row, number: 5 } };

/** Each: what is wrong, the file, and exactly what the program says about it. */
const cases: readonly (readonly [title: string, text: string, shown: string])[] = [
  [
    "a port out of range and a slip of the keyboard, as the design shows them",
    `version: 1
receivers:
  meters: { type: tcp, port: 90000, acknowledge: count-line, supervison: device }
`,
    `h.yaml:3:30: CONFIG_OUT_OF_RANGE: port is 90000, allowed are 1 to 65535
3 |   meters: { type: tcp, port: 90000, acknowledge: count-line, supervison: device }
                                 ^^^^^
    fix: port: 9000
h.yaml:3:62: CONFIG_KEY_UNKNOWN: tcp has no option "supervison"
3 |   meters: { type: tcp, port: 90000, acknowledge: count-line, supervison: device }
                                                                 ^^^^^^^^^^
    fix: did you mean "supervision"?`,
  ],
  [
    "an empty file",
    "",
    `h.yaml:1:1: CONFIG_TYPE: the file is empty, wanted a mapping with version, data, log, supervision, receivers, sources, sinks, pipelines, console`,
  ],
  [
    "a list instead of a mapping",
    `- a
`,
    `h.yaml:1:1: CONFIG_TYPE: the file is a list, wanted a mapping with version, data, log, supervision, receivers, sources, sinks, pipelines, console
1 | - a
    ^^^`,
  ],
  [
    "an unknown version and an unknown key",
    `version: 2
recievers: {}
`,
    `h.yaml:1:1: CONFIG_KEY_MISSING: the file lacks "receivers"
1 | version: 2
    ^
h.yaml:1:10: CONFIG_VALUE: version is 2, allowed is 1
1 | version: 2
             ^
h.yaml:2:1: CONFIG_KEY_UNKNOWN: the configuration has no option "recievers"
2 | recievers: {}
    ^^^^^^^^^
    fix: did you mean "receivers"?`,
  ],
  [
    "receivers without type, of an unknown type, with a name that is none, and no mapping",
    `version: 1
receivers:
  meters: { port: 9000 }
  Web: { type: htp, port: 1 }
  x: 5
`,
    `h.yaml:3:11: CONFIG_KEY_MISSING: receivers.meters lacks "type"
3 |   meters: { port: 9000 }
              ^
    fix: type: tcp (or ${receiverTypes.names.slice(1).join(", ")})
h.yaml:4:3: CONFIG_VALUE: receiver name is "Web", allowed are lower-case letters, digits and "-", beginning with a letter, at most 63
4 |   Web: { type: htp, port: 1 }
      ^^^
    fix: web:
h.yaml:4:16: CONFIG_REFERENCE: no type of receivers is called "htp", there are ${receiverTypes.names.join(", ")}
4 |   Web: { type: htp, port: 1 }
                   ^^^
    fix: did you mean "http"?
h.yaml:5:3: CONFIG_TYPE: receivers.x is no mapping, wanted { type: ..., ... }
5 |   x: 5
      ^
    fix: x: { type: tcp }`,
  ],
  [
    "options of a wrong type, missing, not allowed",
    `version: 1
receivers:
  r: { type: rate, devices: many, perSecond: 0 }
  t: { type: tcp, idleTimeout: 10, acknowledge: count-lines }
  h: { type: http, port: 80.5, path: records, bodyMax: 1GiB }
`,
    `h.yaml:3:29: CONFIG_TYPE: devices is "many", wanted a whole number
3 |   r: { type: rate, devices: many, perSecond: 0 }
                                ^^^^
h.yaml:3:46: CONFIG_OUT_OF_RANGE: perSecond is 0, allowed are 0.001 to 1000000
3 |   r: { type: rate, devices: many, perSecond: 0 }
                                                 ^
    fix: perSecond: 0.001
h.yaml:4:6: CONFIG_KEY_MISSING: receivers.t lacks "port"
4 |   t: { type: tcp, idleTimeout: 10, acknowledge: count-lines }
         ^
    fix: port: 9000
h.yaml:4:32: CONFIG_TYPE: idleTimeout is 10, wanted a duration such as 500ms, 10s, 1m, 2h
4 |   t: { type: tcp, idleTimeout: 10, acknowledge: count-lines }
                                   ^^
    fix: 10s, or 10ms
h.yaml:4:49: CONFIG_VALUE: acknowledge is "count-lines", allowed are none, count-line, count-bytes
4 |   t: { type: tcp, idleTimeout: 10, acknowledge: count-lines }
                                                    ^^^^^^^^^^^
    fix: did you mean "count-line"?
h.yaml:5:26: CONFIG_TYPE: port is 80.5, wanted a port
5 |   h: { type: http, port: 80.5, path: records, bodyMax: 1GiB }
                             ^^^^
h.yaml:5:56: CONFIG_OUT_OF_RANGE: bodyMax is 1GiB, allowed are 1B to 4MiB
5 |   h: { type: http, port: 80.5, path: records, bodyMax: 1GiB }
                                                           ^^^^
    fix: bodyMax: 4MiB`,
  ],
  [
    "options of sinks",
    `version: 1
receivers: { r: { type: rate } }
sinks:
  f: { type: json-lines, directry: ./x, partMax: 1TB, partAgeMax: 1 minute }
  c: { type: console, supervision: x }
`,
    `h.yaml:4:6: CONFIG_KEY_MISSING: sinks.f lacks "directory"
4 |   f: { type: json-lines, directry: ./x, partMax: 1TB, partAgeMax: 1 minute }
         ^
h.yaml:4:26: CONFIG_KEY_UNKNOWN: json-lines has no option "directry"
4 |   f: { type: json-lines, directry: ./x, partMax: 1TB, partAgeMax: 1 minute }
                             ^^^^^^^^
    fix: did you mean "directory"?
h.yaml:4:67: CONFIG_TYPE: partAgeMax is "1 minute", wanted a duration such as 500ms, 10s, 1m, 2h
4 |   f: { type: json-lines, directry: ./x, partMax: 1TB, partAgeMax: 1 minute }
                                                                      ^^^^^^^^
h.yaml:5:23: CONFIG_KEY_UNKNOWN: console has no option "supervision"
5 |   c: { type: console, supervision: x }
                          ^^^^^^^^^^^
    fix: known: write, type`,
  ],
  [
    "sizes, durations and ports at the top",
    `version: 1
receivers: { r: { type: rate } }
log: { bytesMax: 1MiB, keep: { duration: 5 }, minCommitInterval: 11s }
console: { port: 70000, hots: localhost }
`,
    `h.yaml:3:18: CONFIG_OUT_OF_RANGE: bytesMax is 1MiB, allowed are 64MiB to 1TiB
3 | log: { bytesMax: 1MiB, keep: { duration: 5 }, minCommitInterval: 11s }
                     ^^^^
    fix: bytesMax: 64MiB
h.yaml:3:42: CONFIG_TYPE: duration is 5, wanted a duration such as 500ms, 10s, 1m, 2h
3 | log: { bytesMax: 1MiB, keep: { duration: 5 }, minCommitInterval: 11s }
                                             ^
    fix: 5s, or 5ms
h.yaml:3:66: CONFIG_OUT_OF_RANGE: minCommitInterval is 11s, allowed are 0ms to 10s
3 | log: { bytesMax: 1MiB, keep: { duration: 5 }, minCommitInterval: 11s }
                                                                     ^^^
    fix: minCommitInterval: 10s
h.yaml:4:18: CONFIG_OUT_OF_RANGE: port is 70000, allowed are 1 to 65535
4 | console: { port: 70000, hots: localhost }
                     ^^^^^
    fix: port: 7000
h.yaml:4:25: CONFIG_KEY_UNKNOWN: console has no option "hots"
4 | console: { port: 70000, hots: localhost }
                            ^^^^
    fix: did you mean "host"?`,
  ],
  [
    "names that nothing has",
    `version: 1
receivers: { meters: { type: tcp, port: 9000, supervision: dev } }
sinks: { out: { type: console } }
pipelines:
  a: { from: [metres], decode: json, sinks: [outt], supervision: device }
`,
    `h.yaml:2:60: CONFIG_REFERENCE: no strategy is called "dev", the file has none
2 | receivers: { meters: { type: tcp, port: 9000, supervision: dev } }
                                                               ^^^
h.yaml:5:15: CONFIG_REFERENCE: no receiver is called "metres", there are meters
5 |   a: { from: [metres], decode: json, sinks: [outt], supervision: device }
                  ^^^^^^
    fix: did you mean "meters"?
h.yaml:5:46: CONFIG_REFERENCE: no sink is called "outt", there are out
5 |   a: { from: [metres], decode: json, sinks: [outt], supervision: device }
                                                 ^^^^
    fix: did you mean "out"?
h.yaml:5:66: CONFIG_REFERENCE: no strategy is called "device", the file has none
5 |   a: { from: [metres], decode: json, sinks: [outt], supervision: device }
                                                                     ^^^^^^`,
  ],
  [
    "steps, triggers and decoders",
    `version: 1
receivers: { meters: { type: tcp, port: 9000 } }
sinks: { out: { type: console } }
pipelines:
  b: { from: meters, decode: jsn, steps: [ { mapp: ./s.js#f }, { map: f } ], sinks: out, trigger: soon }
  c: { from: meters, decode: json, sinks: out, trigger: interval }
  d: { from: meters, decode: json, sinks: out, trigger: { asap: { minIntervall: 1s } } }
`,
    `h.yaml:5:30: CONFIG_VALUE: decode is "jsn", allowed are json, raw
5 |   b: { from: meters, decode: jsn, steps: [ { mapp: ./s.js#f }, { map: f } ], sinks: out, trigger: soon }
                                 ^^^
    fix: did you mean "json"?
h.yaml:5:46: CONFIG_KEY_UNKNOWN: a step cannot be "mapp"
5 |   b: { from: meters, decode: jsn, steps: [ { mapp: ./s.js#f }, { map: f } ], sinks: out, trigger: soon }
                                                 ^^^^
    fix: did you mean "map"?
h.yaml:5:71: CONFIG_VALUE: map is "f", wanted a function as ./module.js#export
5 |   b: { from: meters, decode: jsn, steps: [ { mapp: ./s.js#f }, { map: f } ], sinks: out, trigger: soon }
                                                                          ^
h.yaml:5:99: CONFIG_VALUE: trigger is "soon", allowed are asap, interval, available-now, once
5 |   b: { from: meters, decode: jsn, steps: [ { mapp: ./s.js#f }, { map: f } ], sinks: out, trigger: soon }
                                                                                                      ^^^^
h.yaml:6:57: CONFIG_TYPE: trigger interval lacks its length
6 |   c: { from: meters, decode: json, sinks: out, trigger: interval }
                                                            ^^^^^^^^
    fix: trigger: { interval: 10s }
h.yaml:7:67: CONFIG_KEY_UNKNOWN: asap has no option "minIntervall"
7 |   d: { from: meters, decode: json, sinks: out, trigger: { asap: { minIntervall: 1s } } }
                                                                      ^^^^^^^^^^^^
    fix: did you mean "minInterval"?`,
  ],
  [
    "a pipeline without from and sinks, steps without decode, a sink twice",
    `version: 1
receivers: { meters: { type: tcp, port: 9000 } }
sinks: { out: { type: console } }
pipelines:
  d: { decode: json }
  e: { from: meters, steps: [ { map: ./s.js#f } ], sinks: [out, out] }
`,
    `h.yaml:5:3: CONFIG_KEY_MISSING: pipelines.d lacks "from"
5 |   d: { decode: json }
      ^
    fix: from: [meters]
h.yaml:5:3: CONFIG_KEY_MISSING: pipelines.d lacks "sinks"
5 |   d: { decode: json }
      ^
    fix: sinks: [out]
h.yaml:6:38: CONFIG_CONFLICT: steps take rows, but nothing decodes the records
6 |   e: { from: meters, steps: [ { map: ./s.js#f } ], sinks: [out, out] }
                                         ^^^^^^^^
    fix: decode: json
h.yaml:6:38: CONFIG_MODULE: ./s.js is not there: /work/s.js
6 |   e: { from: meters, steps: [ { map: ./s.js#f } ], sinks: [out, out] }
                                         ^^^^^^^^
    fix: paths of modules count from the directory of this file
h.yaml:6:65: CONFIG_CONFLICT: 2 outputs go to sink "out", 1 is allowed
6 |   e: { from: meters, steps: [ { map: ./s.js#f } ], sinks: [out, out] }
                                                                    ^^^`,
  ],
  [
    "streams that read themselves, mix forms, or decode twice",
    `version: 1
receivers: { meters: { type: tcp, port: 9000 } }
sinks: { out: { type: console }, b: { type: console } }
pipelines:
  a:
    decode: json
    streams:
      one: { from: two }
      two: { from: one }
      three: { from: meters, decode: json }
      four: { from: three, decode: json }
      meters: { from: three }
    outputs: [ { from: five, to: out }, { from: three, to: b, mode: upsert } ]
`,
    `h.yaml:5:3: CONFIG_CONFLICT: pipelines.a has decode beside streams and outputs
5 |   a:
      ^
    fix: move decode into a stream
h.yaml:8:7: CONFIG_CONFLICT: stream one reads itself: one <- two <- one
8 |       one: { from: two }
          ^^^
h.yaml:9:7: CONFIG_CONFLICT: stream two reads itself: two <- one <- two
9 |       two: { from: one }
          ^^^
h.yaml:11:7: CONFIG_CONFLICT: stream four decodes what is decoded already
11 |       four: { from: three, decode: json }
           ^^^^
    fix: leave out decode
h.yaml:12:7: CONFIG_CONFLICT: stream and receiver are both called "meters"
12 |       meters: { from: three }
           ^^^^^^
    fix: rename the stream
h.yaml:13:69: CONFIG_VALUE: mode is "upsert", allowed are append, update, complete
13 |     outputs: [ { from: five, to: out }, { from: three, to: b, mode: upsert } ]
                                                                         ^^^^^^`,
  ],
  [
    "strategies",
    `version: 1
supervision:
  a: { maxRestarts: 3, within: 1m, decide: [ { class: RangeErr, then: resume } ], otherwise: escalate }
  b: { maxRestarts: 3, within: 1m, decide: [ { code: X, class: Error, then: resume } ], otherwise: escalate }
  c: { maxRestarts: -1, within: 1m, decide: [ { code: X, then: restrt } ] }
  d: { maxRestarts: 3, within: 1m, decide: [ { code: X, then: restart } ] }
receivers: { r: { type: rate, supervision: c } }
`,
    `h.yaml:3:55: CONFIG_REFERENCE: "RangeErr" is no error class of JavaScript
3 |   a: { maxRestarts: 3, within: 1m, decide: [ { class: RangeErr, then: resume } ], otherwise: escalate }
                                                          ^^^^^^^^
    fix: did you mean "RangeError"?
h.yaml:4:46: CONFIG_CONFLICT: a rule of decide has 2 of class, code and if, allowed is 1
4 |   b: { maxRestarts: 3, within: 1m, decide: [ { code: X, class: Error, then: resume } ], otherwise: escalate }
                                                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
h.yaml:5:21: CONFIG_OUT_OF_RANGE: maxRestarts is -1, allowed are 0 to 10000
5 |   c: { maxRestarts: -1, within: 1m, decide: [ { code: X, then: restrt } ] }
                        ^^
    fix: maxRestarts: 0
h.yaml:5:64: CONFIG_VALUE: then is "restrt", allowed are resume, restart, stop, escalate
5 |   c: { maxRestarts: -1, within: 1m, decide: [ { code: X, then: restrt } ] }
                                                                   ^^^^^^
    fix: did you mean "restart"?
h.yaml:6:3: CONFIG_KEY_MISSING: a strategy with decide needs "otherwise"
6 |   d: { maxRestarts: 3, within: 1m, decide: [ { code: X, then: restart } ] }
      ^
    fix: otherwise: escalate`,
  ],
  [
    "modules and exports that are not there",
    `version: 1
receivers: { r: { type: rate }, own: { type: "./steps.js#receipt" } }
sinks: { out: { type: console } }
pipelines:
  a: { from: r, decode: { json: ./steps.js#number }, steps: [ { map: ./step.js#x }, { map: ./steps.js#recipt }, { map: ./steps.js#number } ], sinks: out }
`,
    `h.yaml:2:46: CONFIG_MODULE: ./steps.js#receipt is no type of receivers
2 | receivers: { r: { type: rate }, own: { type: "./steps.js#receipt" } }
                                                 ^^^^^^^^^^^^^^^^^^^^
    fix: export what defineReceiver returns
h.yaml:5:33: CONFIG_MODULE: ./steps.js#number is no schema
5 |   a: { from: r, decode: { json: ./steps.js#number }, steps: [ { map: ./step.js#x }, { map: ./steps.js#recipt }, { map: ./steps.js#number } ], sinks: out }
                                    ^^^^^^^^^^^^^^^^^
    fix: export a schema of holdfast's kit, zod, valibot or another Standard Schema
h.yaml:5:70: CONFIG_MODULE: ./step.js is not there: /work/step.js
5 |   a: { from: r, decode: { json: ./steps.js#number }, steps: [ { map: ./step.js#x }, { map: ./steps.js#recipt }, { map: ./steps.js#number } ], sinks: out }
                                                                         ^^^^^^^^^^^
    fix: paths of modules count from the directory of this file
h.yaml:5:92: CONFIG_MODULE: ./steps.js has no export "recipt"
5 |   a: { from: r, decode: { json: ./steps.js#number }, steps: [ { map: ./step.js#x }, { map: ./steps.js#recipt }, { map: ./steps.js#number } ], sinks: out }
                                                                                               ^^^^^^^^^^^^^^^^^
    fix: did you mean "receipt"?
h.yaml:5:120: CONFIG_MODULE: ./steps.js#number is a number, wanted a function
5 |   a: { from: r, decode: { json: ./steps.js#number }, steps: [ { map: ./step.js#x }, { map: ./steps.js#recipt }, { map: ./steps.js#number } ], sinks: out }
                                                                                                                           ^^^^^^^^^^^^^^^^^`,
  ],
  [
    "a sink that cannot take a mode, raw bytes after a step",
    `version: 1
receivers: { r: { type: rate } }
sinks: { out: { type: console }, raw: { type: raw-lines, directory: ./raw } }
pipelines:
  a: { streams: { s: { from: r, decode: json } }, outputs: [ { from: s, to: out, mode: update } ] }
  b: { from: r, decode: json, steps: [ { map: ./steps.js#receipt } ], sinks: raw }
`,
    `h.yaml:5:88: MODE_UNSUPPORTED: out: sink type console cannot take mode update, only append
5 |   a: { streams: { s: { from: r, decode: json } }, outputs: [ { from: s, to: out, mode: update } ] }
                                                                                           ^^^^^^
    fix: mode: append
h.yaml:6:78: CONFIG_CONFLICT: raw: raw-lines writes records as they came, but the stream has a step that changes rows
6 |   b: { from: r, decode: json, steps: [ { map: ./steps.js#receipt } ], sinks: raw }
                                                                                 ^^^
    fix: use a json-lines sink, or leave out map and flatMap`,
  ],
  [
    "a missing variable",
    `version: 1
receivers: { r: { type: tcp, port: "\${NO_SUCH_PORT}" } }
`,
    `h.yaml:2:36: CONFIG_SUBSTITUTION: the environment has no NO_SUCH_PORT
2 | receivers: { r: { type: tcp, port: "\${NO_SUCH_PORT}" } }
                                       ^^^^^^^^^^^^^^^^^
    fix: \${NO_SUCH_PORT:-a default}, or set NO_SUCH_PORT`,
  ],
  [
    "a substitution that breaks a flow mapping",
    `version: 1
receivers: { r: { type: tcp, port: \${TCP_PORT:-9000} } }
`,
    `h.yaml:2:37: CONFIG_SYNTAX: not YAML: Unexpected flow-map-start at node end
2 | receivers: { r: { type: tcp, port: \${TCP_PORT:-9000} } }
                                        ^
    fix: put it in quotes: "\${TCP_PORT:-9000}"`,
  ],
];

for (const [title, text, shown] of cases) {
  test(`wrong configuration: ${title}`, async () => {
    equal(await rendered(text, modules), shown);
  });
}
