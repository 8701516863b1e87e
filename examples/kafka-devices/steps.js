/** A row for the table: the record's key is the device, and its time is the broker's where the device sends none. */
export function toReading(row, origin) {
  if (typeof row?.temperature !== "number") throw new Error("a reading without a temperature");
  if (origin.key === undefined) throw new Error("a reading without a device");
  return { device: origin.key, temperature: row.temperature, at: row.at ?? origin.timestampMs };
}
