/**
 * kafkajs 2.2.4 looks at every connection's queue each millisecond, for as long as it is open, whether or not a request
 * waits in it: 5 % of a core for a member that has nothing to do, and 0.7 % without; Node 24 also warns of it. The queue is
 * told to look when there is something to look for. kafkajs's own users have proposed the same change.
 */
import { createRequire } from "node:module";

/** Not exported by kafkajs, which declares no exports at all. */
const MODULE = "kafkajs/src/network/requestQueue";

/** What is touched of a queue. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests: () => void;
}

let isCalm = false;

/** Calms the queues of all connections of the process, once. Does nothing where kafkajs looks otherwise. */
export function calmRequestQueues(): void {
  if (isCalm) return;
  isCalm = true;
  const prototype = queuePrototype();
  if (prototype === undefined) return;
  const { scheduleCheckPendingRequests } = prototype;
  prototype.scheduleCheckPendingRequests = function schedule(this: RequestQueue): void {
    // What is pushed later, or answered, asks again.
    if (this.pending.length > 0) scheduleCheckPendingRequests.call(this);
  };
}

function queuePrototype(): RequestQueue | undefined {
  let queue: unknown;
  try {
    queue = createRequire(import.meta.url)(MODULE);
  } catch {
    // Another version keeps it elsewhere: it works as it is, at some cost.
    return undefined;
  }
  const prototype: unknown = typeof queue === "function" ? queue.prototype : undefined;
  return isQueuePrototype(prototype) ? prototype : undefined;
}

function isQueuePrototype(value: unknown): value is RequestQueue {
  return (
    typeof value === "object" &&
    value !== null &&
    "scheduleCheckPendingRequests" in value &&
    typeof value.scheduleCheckPendingRequests === "function"
  );
}
