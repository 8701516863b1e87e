/**
 * Every measurement that runs in a process of its own, by name.
 */
import { code } from "./probes/code.ts";
import { groups } from "./probes/groups.ts";
import { stores } from "./probes/stores.ts";

/** The measurements with the types of their options and numbers. */
export interface Probes {
  readonly code: typeof code;
  readonly groups: typeof groups;
  readonly stores: typeof stores;
}

export const probes: Probes = { code, groups, stores };
