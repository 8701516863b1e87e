/**
 * The line by which a child learns that its parent is gone: interface here, the real one in `real-lifeline.ts`.
 */

/** A line to the process that started this one. */
export interface Lifeline {
  /**
   * Calls once when that process is gone, however it ended, also before this was called; never where nobody holds a
   * line. The result undoes it.
   */
  onCut(callback: () => void): () => void;
}
