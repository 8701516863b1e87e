// Steps of the gateway's pipeline. They must be pure: after a crash a batch runs again.

/** The record with the time it came in and the receiver it came by. A value that is no object becomes `{ value }`. */
export function addReceipt(row, origin) {
  const receivedAt = new Date(origin.receivedAtMs).toISOString();
  const fields = typeof row === "object" && row !== null && !Array.isArray(row) ? row : { value: row };
  return { ...fields, receivedAt, receiver: origin.receiver };
}
