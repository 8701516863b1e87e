/**
 * What `holdfast init` writes.
 */

/** A configuration that runs as it is. */
export const CONFIG_TEMPLATE = `# A Holdfast configuration. It runs as it is: holdfast run
# Check it with: holdfast validate. Help for your editor: holdfast schema > holdfast.schema.json
# yaml-language-server: $schema=./holdfast.schema.json

version: 1

# Everything that Holdfast keeps. Relative paths count from the directory it is started in.
# \${NAME}, \${NAME:-default} and \${file:/path} are replaced inside values.
data: \${DATA_DIR:-./data}

log:
  bytesMax: 1GiB # when it is used up, receivers wait
  # minCommitInterval: 20ms # spares flash cards: acknowledgements come up to this much later

receivers:
  # One JSON value per line. After every write to disk it answers with the number of records stored so far.
  meters:
    type: tcp
    port: \${TCP_PORT:-9000}
    acknowledge: count-line
  # POST /records with one JSON value, an array, or lines (content-type: application/x-ndjson).
  # web: { type: http, port: 9080 }

sinks:
  # Finished parts are out/readings/*.jsonl; the part that is being written begins with a dot.
  files:
    type: json-lines
    directory: \${DATA_DIR:-./data}/out/readings
    partAgeMax: 1m

pipelines:
  readings:
    from: [meters]
    decode: json
    steps:
      - map: ./steps.mjs#addReceipt
    sinks: [files]
    trigger: { asap: { minInterval: 100ms } }

# /metrics, /livez and /readyz
console:
  port: \${CONSOLE_PORT:-9090}
`;

/** Steps of that configuration. */
export const STEPS_TEMPLATE = `// Steps of the pipelines in holdfast.yaml. They must be pure: after a crash a batch runs again.
// A step that throws sets its record aside: holdfast dead-letters list

/** The record with the time it came in and the receiver it came by. */
export function addReceipt(row, origin) {
  const receivedAt = new Date(origin.receivedAtMs).toISOString();
  const fields = typeof row === "object" && row !== null && !Array.isArray(row) ? row : { value: row };
  return { ...fields, receivedAt, receiver: origin.receiver };
}
`;
