/**
 * Where a lease was asked for, kept cheaply: the text is only made when somebody asks.
 */

/** A place in the caller's code. */
export interface CallSite {
  readonly stack?: string;
}

/** The place that called the function which asks. */
export function callSite(): CallSite {
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, callSite);
  return site;
}

/** One line: function, file, line and column; "unknown" where the engine kept none. */
export function siteText({ stack = "" }: CallSite): string {
  // The first frame is the function that asked.
  return /\n\s*at .*\n\s*at (.*)/.exec(stack)?.[1] ?? "unknown";
}
