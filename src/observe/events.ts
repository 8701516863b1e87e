/**
 * The stream of events: every listener gets every event, and no listener can disturb what it watches.
 */
import type { Emit, Listener } from "../contract/events.ts";
import type { Logger } from "../contract/logger.ts";
import { toError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import { createLogLines } from "./log-lines.ts";

/** Where events are sent and who hears them. */
export interface EventStream {
  /** Calls the listeners in the order they were added, before it returns. Never throws. */
  readonly emit: Emit;
  /** Takes part from the next event on. Disposing of the result ends it and may be done twice. */
  readonly addListener: (listener: Listener) => Disposable;
}

/** A listener with the one fact kept about it: a broken one is reported once, not at every event. */
interface Subscription {
  readonly listener: Listener;
  isReported: boolean;
}

/** A stream whose first listener is the log: a line per change of state. */
export function createEvents({
  clock,
  logger,
}: {
  readonly clock: Clock;
  readonly logger: Logger;
}): EventStream {
  // Replaced, never patched: a listener that adds or removes one does not change the round that called it.
  let subscriptions: readonly Subscription[] = [];
  const addListener = (listener: Listener): Disposable => {
    const added: Subscription = { listener, isReported: false };
    subscriptions = [...subscriptions, added];
    return {
      [Symbol.dispose]: () => {
        subscriptions = subscriptions.filter((each) => each !== added);
      },
    };
  };
  const emit: Emit = (kind, fields) => {
    const event = Object.freeze({ ...fields, kind, atMs: clock.wallMs() });
    const method = methodOf(kind);
    for (const subscription of subscriptions) {
      call(subscription, "onEvent", event, logger);
      call(subscription, method, event, logger);
    }
  };
  addListener(createLogLines({ logger, clock }));
  return { emit, addListener };
}

/** Calls one method of a listener, if it has it. What it throws or rejects with ends here. */
function call(subscription: Subscription, method: string, event: object, logger: Logger): void {
  const report = (thrown: unknown): void => {
    if (subscription.isReported) return;
    subscription.isReported = true;
    logger.error("a listener threw: it stays, and its further errors are not shown", {
      method,
      error: toError(thrown),
    });
  };
  try {
    const found: unknown = Reflect.get(subscription.listener, method);
    if (typeof found !== "function") return;
    const returned: unknown = Reflect.apply(found, subscription.listener, [event]);
    // An async listener is allowed: its rejection must not become the process's.
    if (returned instanceof Promise) returned.catch(report);
  } catch (thrown) {
    report(thrown);
  }
}

/** `batch-planned` is `onBatchPlanned`. */
function methodOf(kind: string): string {
  const words = kind.split("-").map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `on${words.join("")}`;
}
