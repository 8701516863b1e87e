/**
 * Files as text: 16 bytes to a line, lines of zeros left out, the size in a line of its own at the end.
 *
 * ```
 * 00000000: 89 48 46 57 0d 0a 1a 0a 01 00 00 00 00 00 00 00
 * 00001000: 48 46 31 00 04 00 00 00 50 00 00 00 00 00 00 00
 * 00010000:
 * ```
 */
const LINE_BYTES = 16;

/** The text of some bytes. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = bytes.subarray(at, at + LINE_BYTES);
    if (line.some((byte) => byte !== 0)) lines.push(`${place(at)}: ${hex(line)}`);
  }
  return [...lines, `${place(bytes.length)}:`, ""].join("\n");
}

/** The bytes of a text that {@link hexDump} made; what stands behind two spaces in a line is for people. */
export function fromHexDump(text: string): Uint8Array {
  const lines = text.split("\n").filter((line) => line !== "");
  const bytes = new Uint8Array(Number.parseInt(lines.pop() ?? "", 16));
  for (const line of lines) {
    const [, at = "", octets = ""] =
      /^([0-9a-f]{8}): ([0-9a-f]{2}(?: [0-9a-f]{2})*)(?: {2}.*)?$/.exec(line) ?? [];
    if (at === "") throw new Error(`no line of a hex dump: ${line}`);
    bytes.set(Buffer.from(octets.replaceAll(" ", ""), "hex"), Number.parseInt(at, 16));
  }
  return bytes;
}

function place(at: number): string {
  return at.toString(16).padStart(8, "0");
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
