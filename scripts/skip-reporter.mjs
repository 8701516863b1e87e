/**
 * A reporter for node's test runner: one line per skipped test, `title # reason`, and nothing else.
 * @param {AsyncIterable<{ type: string, data: { name?: string, skip?: boolean | string } }>} events
 */
export default async function* skips(events) {
  for await (const { type, data } of events) {
    // Tests that a title filter leaves out are told as skipped too, by some versions of Node.
    const isSkipped = type === "test:pass" && data.skip !== undefined && data.skip !== false;
    if (isSkipped) yield `${data.name} # ${data.skip === true ? "no reason given" : data.skip}\n`;
  }
}
