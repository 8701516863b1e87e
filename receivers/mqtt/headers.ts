/**
 * What comes with a message beside topic and payload -> the headers of its record.
 */
import { protocolError } from "./packet-splitter.ts";
import type { PublishProperties } from "./publish-reader.ts";

/**
 * The headers as JSON text, empty when there are none. A user property keeps its name; one that comes several times
 * is one header, its values joined by a line feed. What MQTT itself says has names beginning with `mqtt.` and wins over a
 * user property of that name.
 *
 * @throws MQTT_PROTOCOL_ERROR
 */
export function headersText(
  properties: PublishProperties | undefined,
  isRetained: boolean,
): string {
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(properties?.userProperties ?? {}))
    headers[name] = Array.isArray(value) ? value.map(text).join("\n") : text(value);
  const { contentType, responseTopic, correlationData } = properties ?? {};
  if (contentType !== undefined) headers["mqtt.content-type"] = text(contentType);
  if (responseTopic !== undefined) headers["mqtt.response-topic"] = text(responseTopic);
  if (correlationData !== undefined) headers["mqtt.correlation-data"] = base64(correlationData);
  if (isRetained) headers["mqtt.retained"] = "true";
  const json = JSON.stringify(headers);
  return json === "{}" ? "" : json;
}

/** The parser gives null for what is cut off, and a list for what may come once and came twice. */
function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw protocolError("a property of a PUBLISH is cut off, or came twice");
}

function base64(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : text(undefined);
}
