/**
 * What every receiver has to do, as tests that any receiver can run: those that come with Holdfast pass it.
 *
 * ```ts
 * for (const { title, run } of receiverConformance(subject)) test(title, run);
 * ```
 */
import type { Receiver, ReceiverOptions } from "../contract/receiver.ts";
import type { Endpoint } from "../host/sockets.ts";
import { type Case, CONFORMANCE_CASES } from "./receiver-cases.ts";
import { ReceiverTrial } from "./receiver-trial.ts";

/** The other end: a device, a client, a broker with what it has to deliver. */
export interface TrialUpstream {
  /**
   * Sends messages, in order; resolves when they are on their way, whether the receiver reads them or not. What is not
   * acknowledged is the upstream's to send again, at {@link reconnect}, if that is what its protocol does.
   */
  send(messages: readonly string[]): Promise<void>;
  /** How many of all messages sent are acknowledged, from the first on; always 0 where there is no acknowledgement. */
  acknowledged(): number | Promise<number>;
  /** The receiver was restarted, or its process died: connects again if that is this side's part. */
  reconnect(): Promise<void>;
  /** Bytes that are no protocol, from a peer of their own; resolves when they were sent or refused. */
  sendGarbage?(bytes: Uint8Array): Promise<void>;
  /** One message of so many bytes from a peer of its own; resolves when it was sent or refused. */
  sendLarge?(byteCount: number): Promise<void>;
  close(): Promise<void>;
}

/** A receiver under test. */
export interface ReceiverSubject {
  /** For titles. */
  readonly name: string;
  /** Makes the receiver; called for each process. The options are to be passed on. */
  create(options: ReceiverOptions): Receiver;
  /** Makes the other end; `address` says where the receiver listens, now and after a restart. */
  connect(address: () => Endpoint): Promise<TrialUpstream>;
  /** Runs before the receiver opens: a broker starts, say. The result ends it. */
  prepare?(trial: ReceiverTrial): Promise<() => Promise<void>>;
  /** Whether the protocol acknowledges at all. */
  readonly acknowledges: boolean;
  /**
   * Whether a message that was not acknowledged comes again after a break: `once`, and is recognised if it is stored
   * already; `again`, and may be stored twice; `never`. @defaultValue again where it acknowledges, never where not
   */
  readonly afterBreak?: "once" | "again" | "never";
  /**
   * Whether the upstream sends more than the receiver may take, 256 KiB, and is then held back: not a client that sends
   * one request at a time, nor a receiver with one block on its way at a time, and not where pressure drops.
   * @defaultValue true
   */
  readonly holdsBack?: boolean;
  /** Longest wait for anything that has to happen, in milliseconds. @defaultValue 15,000 */
  readonly waitMs?: number;
  /** Longest message that it takes. @defaultValue 1 MiB */
  readonly messageBytesMax?: number;
}

/** One test; it rejects with what went wrong. */
export interface ConformanceTest {
  readonly title: string;
  readonly run: () => Promise<void>;
}

/** The tests for one receiver; each starts processes and ends of its own. */
export function receiverConformance(subject: ReceiverSubject): readonly ConformanceTest[] {
  const cases = Object.entries(CONFORMANCE_CASES).filter(
    ([, { applies }]) => applies?.(subject) ?? true,
  );
  return cases.map(([title, { run }]) => ({
    title: `${subject.name}: ${title}`,
    run: () => play(subject, run),
  }));
}

async function play(subject: ReceiverSubject, run: Case): Promise<void> {
  await using trial = new ReceiverTrial((options) => subject.create(options), subject.waitMs);
  const end = await subject.prepare?.(trial);
  try {
    await trial.start();
    const upstream = await subject.connect(() => trial.address);
    try {
      await run({ trial, upstream, subject });
    } finally {
      await trial.within("closing the upstream", upstream.close());
    }
  } finally {
    await trial.stop().catch(() => undefined);
    await end?.();
  }
}
