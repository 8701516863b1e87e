/**
 * kafkajs 2.2.4 looks at every connection's queue each millisecond, for as long as it is open, whether or not a request
 * waits in it: 5 % of a core for a member that has nothing to do, and 0.7 % without. The queue is told to look when there
 * is something to look for. kafkajs's own users have proposed the same change.
 */
import type { Broker } from "kafkajs";

/** What is touched of a queue. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  /** When the broker's quota lets requests through again, milliseconds since 1970; -1 for now. */
  readonly throttledUntil: number;
  scheduleCheckPendingRequests: () => void;
}

const calmed = new WeakSet<object>();

/** Calms the queues of all connections of the process, once. Does nothing where kafkajs looks otherwise. */
export function calmRequestQueues(broker: Broker): void {
  const queue = queueOf(broker);
  if (queue !== undefined) calm(Object.getPrototypeOf(queue));
}

/** `prototype` is that of a {@link RequestQueue}. */
function calm(prototype: RequestQueue): void {
  if (calmed.has(prototype)) return;
  calmed.add(prototype);
  const { scheduleCheckPendingRequests } = prototype;
  prototype.scheduleCheckPendingRequests = function schedule(this: RequestQueue): void {
    // What is pushed later, or answered, asks again.
    if (this.pending.length > 0) scheduleCheckPendingRequests.call(this);
  };
}

function queueOf(broker: Broker): RequestQueue | undefined {
  const pool = "connectionPool" in broker ? broker.connectionPool : undefined;
  const connections = isObject(pool) && "pool" in pool ? pool.pool : undefined;
  const [first]: readonly unknown[] = Array.isArray(connections) ? connections : [];
  const queue = isObject(first) && "requestQueue" in first ? first.requestQueue : undefined;
  return isQueue(queue) ? queue : undefined;
}

function isQueue(value: unknown): value is RequestQueue {
  return (
    isObject(value) &&
    "pending" in value &&
    Array.isArray(value.pending) &&
    "throttledUntil" in value &&
    typeof value.throttledUntil === "number" &&
    "scheduleCheckPendingRequests" in value &&
    typeof value.scheduleCheckPendingRequests === "function"
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
