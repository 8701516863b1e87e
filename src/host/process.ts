/**
 * The process and the machine: interface here, the real one in `real-process.ts`.
 */

/** A held lock on a file; gone when released or when the process ends, however it ends. */
export interface FileLock {
  release(): Promise<void>;
}

/** Signals that a process may listen to here. */
export type HostSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGUSR1" | "SIGUSR2";

/** What the machine and this process are. */
export interface HostProcess {
  readonly pid: number;
  readonly platform: string;
  /** Identity of the machine, "" where there is none (a fresh container). */
  machineId(): Promise<string>;
  /**
   * Takes the kernel lock on a file, which is created if needed; its text is for humans.
   * Rejects with DATA_LOCKED (naming the holder from the text) or PLATFORM_UNSUPPORTED.
   */
  lockFile(path: string): Promise<FileLock>;
  /** Resident memory of this process in bytes. */
  residentBytes(): number;
  /** Calls for each of these signals, which then no longer end the process; the result undoes it. */
  onSignals(signals: readonly HostSignal[], callback: (signal: HostSignal) => void): () => void;
}
