/**
 * Leases that were neither given back nor kept: the garbage collector notices them.
 */
import type { ForgottenWatch } from "../contract/pool.ts";

/** The garbage collector as a watch; when it looks is its own affair. */
export const watchGarbage: ForgottenWatch = (reclaim) => {
  const registry = new FinalizationRegistry(reclaim);
  return {
    watch: (watched, token) => registry.register(watched, token, token),
    unwatch: (token) => registry.unregister(token),
  };
};
