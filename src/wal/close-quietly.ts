/**
 * Closes something that is given up, or whose bytes are durable: how it closes changes nothing. Never rejects.
 */
export async function closeQuietly(open: { close(): Promise<void> }): Promise<void> {
  try {
    await open.close();
  } catch {
    // The error that led here is the one to tell.
  }
}
