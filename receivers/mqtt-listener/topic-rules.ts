/**
 * Topics and what clients may do with them. Pure.
 */
import type { AccessRule } from "./options.ts";

/** Who asks. */
export interface Identity {
  readonly clientId: string;
  /** Empty for a client without one. */
  readonly user: string;
}

/** Why a text is no topic filter; undefined where it is one. */
export function faultOfFilter(filter: string): string | undefined {
  const levels = filter.split("/");
  if (filter === "") return "it is empty";
  if (filter.includes("\0")) return "it holds a zero character";
  if (levels.some((level) => level.length > 1 && /[+#]/.test(level)))
    return "+ and # stand for whole levels";
  return levels.slice(0, -1).includes("#") ? "# stands for the last levels only" : undefined;
}

/** Why a text is no topic of a message; undefined where it is one. aedes looks at those of messages, not of wills. */
export function faultOfTopic(topic: string): string | undefined {
  if (/[+#]/.test(topic)) return "+ and # are for filters";
  // What the parser puts there.
  if (topic.includes("\ufffd")) return "it is not UTF-8";
  return faultOfFilter(topic);
}

/** Whether everything that `wanted`, a topic or a filter, stands for lies within `allowed`. */
export function covers(allowed: string, wanted: string): boolean {
  // What begins with $ is the broker's own: no wildcard stands for it.
  if (wanted.startsWith("$") && !allowed.startsWith("$")) return false;
  if (allowed === "#") return true;
  const outer = allowed.split("/");
  const inner = wanted.split("/");
  for (const [i, level] of outer.entries()) {
    if (level === "#") return true;
    const asked = inner[i];
    if (asked === undefined || asked === "#") return false;
    if (level !== "+" && level !== asked) return false;
  }
  return outer.length === inner.length;
}

/** Whether a rule allows it. */
export function isAllowed(
  rules: readonly AccessRule[],
  identity: Identity,
  action: "publish" | "subscribe",
  wanted: string,
): boolean {
  return rules.some(
    (rule) =>
      isAbout(rule, identity.user) &&
      rule[action].some((pattern) => {
        const filter = filterFor(pattern, identity);
        // `a/#` stands for `a` as well.
        return filter !== undefined && (covers(filter, wanted) || filter === `${wanted}/#`);
      }),
  );
}

function isAbout({ user: pattern }: AccessRule, user: string): boolean {
  if (pattern === undefined) return true;
  const parts = pattern.split("*").map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return user !== "" && new RegExp(`^${parts.join(".*")}$`, "s").test(user);
}

/** The filter for this client; undefined where its own name would be more than one level of it, or a wildcard. */
function filterFor(pattern: string, { clientId, user }: Identity): string | undefined {
  if (!pattern.includes("%")) return pattern;
  for (const [placeholder, name] of [
    ["%u", user],
    ["%c", clientId],
  ] as const)
    if (pattern.includes(placeholder) && (name === "" || /[+#/$%]/.test(name))) return undefined;
  return pattern.replaceAll("%u", user).replaceAll("%c", clientId);
}
