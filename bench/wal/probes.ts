/**
 * Every measurement that runs in a process of its own, by name.
 */
import { crash } from "../supervision/crash.ts";
import { fullMailbox } from "../supervision/full-mailbox.ts";
import { idleUnits } from "../supervision/idle-units.ts";
import { messages } from "../supervision/messages.ts";
import { card } from "./probes/card.ts";
import { commitPath } from "./probes/choices.ts";
import { code } from "./probes/code.ts";
import { groups } from "./probes/groups.ts";
import { idle } from "./probes/idle.ts";
import { latency } from "./probes/latency.ts";
import { openBacklog, writeBacklog } from "./probes/open.ts";
import { parts } from "./probes/parts.ts";
import { stores } from "./probes/stores.ts";
import { sums } from "./probes/sums.ts";
import { tail } from "./probes/tail.ts";

/** The measurements with the types of their options and numbers. */
export interface Probes {
  readonly card: typeof card;
  readonly code: typeof code;
  readonly commitPath: typeof commitPath;
  readonly crash: typeof crash;
  readonly fullMailbox: typeof fullMailbox;
  readonly groups: typeof groups;
  readonly idle: typeof idle;
  readonly idleUnits: typeof idleUnits;
  readonly latency: typeof latency;
  readonly messages: typeof messages;
  readonly openBacklog: typeof openBacklog;
  readonly parts: typeof parts;
  readonly stores: typeof stores;
  readonly sums: typeof sums;
  readonly tail: typeof tail;
  readonly writeBacklog: typeof writeBacklog;
}

export const probes: Probes = {
  card,
  code,
  commitPath,
  crash,
  fullMailbox,
  groups,
  idle,
  idleUnits,
  latency,
  messages,
  openBacklog,
  parts,
  stores,
  sums,
  tail,
  writeBacklog,
};
