/**
 * Every measurement that runs in a process of its own, by name. Its code is loaded when it is asked for, so that the
 * memory of the process is that of what is measured.
 */
import type { crash } from "../supervision/crash.ts";
import type { fullMailbox } from "../supervision/full-mailbox.ts";
import type { idleUnits } from "../supervision/idle-units.ts";
import type { messages } from "../supervision/messages.ts";
import type { card } from "./probes/card.ts";
import type { commitPath } from "./probes/choices.ts";
import type { code } from "./probes/code.ts";
import type { groups } from "./probes/groups.ts";
import type { idle } from "./probes/idle.ts";
import type { latency } from "./probes/latency.ts";
import type { openBacklog, writeBacklog } from "./probes/open.ts";
import type { parts } from "./probes/parts.ts";
import type { stores } from "./probes/stores.ts";
import type { sums } from "./probes/sums.ts";
import type { tail } from "./probes/tail.ts";

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

export const probes: { readonly [Name in keyof Probes]: () => Promise<Probes[Name]> } = {
  card: async () => (await import("./probes/card.ts")).card,
  code: async () => (await import("./probes/code.ts")).code,
  commitPath: async () => (await import("./probes/choices.ts")).commitPath,
  crash: async () => (await import("../supervision/crash.ts")).crash,
  fullMailbox: async () => (await import("../supervision/full-mailbox.ts")).fullMailbox,
  groups: async () => (await import("./probes/groups.ts")).groups,
  idle: async () => (await import("./probes/idle.ts")).idle,
  idleUnits: async () => (await import("../supervision/idle-units.ts")).idleUnits,
  latency: async () => (await import("./probes/latency.ts")).latency,
  messages: async () => (await import("../supervision/messages.ts")).messages,
  openBacklog: async () => (await import("./probes/open.ts")).openBacklog,
  parts: async () => (await import("./probes/parts.ts")).parts,
  stores: async () => (await import("./probes/stores.ts")).stores,
  sums: async () => (await import("./probes/sums.ts")).sums,
  tail: async () => (await import("./probes/tail.ts")).tail,
  writeBacklog: async () => (await import("./probes/open.ts")).writeBacklog,
};
