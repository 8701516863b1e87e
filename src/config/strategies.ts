/**
 * Named strategies of the file, as supervisors take them.
 */
import { allForOne, equalJitter, oneForOne, restForOne, when } from "../../supervisors/index.ts";
import type { Decider, Directive, Strategy } from "../contract/unit.ts";
import { type FilePlace, HoldfastError } from "../errors.ts";
import { given } from "./given.ts";
import type { DecideRule, StrategyConfig } from "./model.ts";
import { isModuleReference, type Modules } from "./modules.ts";
import type { Named } from "./objects.ts";
import type { Problems } from "./problems.ts";
import { suggestion } from "./suggest.ts";

const SCOPES = {
  "one-for-one": oneForOne,
  "all-for-one": allForOne,
  "rest-for-one": restForOne,
} as const;

type ErrorClass = abstract new (...args: never[]) => Error;
type Matcher = ErrorClass | string | ((error: Error) => boolean);

/** Classes that a rule may name without a module. */
const CLASSES: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ["Error", Error],
  ["AggregateError", AggregateError],
  ["EvalError", EvalError],
  ["HoldfastError", HoldfastError],
  ["RangeError", RangeError],
  ["ReferenceError", ReferenceError],
  ["SyntaxError", SyntaxError],
  ["TypeError", TypeError],
  ["URIError", URIError],
]);

/** The strategies by name; what cannot be had is reported and left out. */
export async function buildStrategies(
  configs: readonly Named<StrategyConfig>[],
  modules: Modules,
  problems: Problems,
): Promise<ReadonlyMap<string, Strategy>> {
  const strategies = new Map<string, Strategy>();
  for (const { name, value, entry } of configs) {
    try {
      strategies.set(name, await buildStrategy(value, modules, entry.place));
    } catch (error) {
      problems.addError(withPlace(error, entry.place));
    }
  }
  return strategies;
}

/** A HoldfastError with a place; what is none is thrown on: it is a bug. */
export function withPlace(error: unknown, place: FilePlace): HoldfastError {
  if (!(error instanceof HoldfastError)) throw error;
  if (error.at !== undefined) return error;
  return new HoldfastError(error.code, error.message, { fix: error.fix, at: place, cause: error });
}

async function buildStrategy(
  config: StrategyConfig,
  modules: Modules,
  place: FilePlace,
): Promise<Strategy> {
  const { scope = "one-for-one", maxRestarts, within, backoff, onExhausted } = config;
  const decide = await buildDecider(config, modules, place);
  const waiting =
    backoff === undefined
      ? undefined
      : equalJitter({ minMs: backoff.min, maxMs: backoff.max, resetAfterMs: backoff.resetAfter });
  return SCOPES[scope]({
    maxRestarts,
    withinMs: within,
    ...given({ decide, onExhausted, backoff: waiting }),
  });
}

async function buildDecider(
  { decide = [], otherwise }: StrategyConfig,
  modules: Modules,
  place: FilePlace,
): Promise<Decider | undefined> {
  const [first, ...rest] = await Promise.all(
    decide.map(({ value, node }) => buildRule(value, modules, node.place)),
  );
  if (first === undefined) return otherwise === undefined ? undefined : () => otherwise;
  if (otherwise === undefined) {
    throw new HoldfastError("CONFIG_KEY_MISSING", 'a strategy with decide needs "otherwise"', {
      at: place,
      fix: "otherwise: escalate",
    });
  }
  const builder = rest.reduce(
    (sum, { matcher, then }) => sum.when(matcher, then),
    when(first.matcher, first.then),
  );
  return builder.otherwise(otherwise);
}

async function buildRule(
  rule: DecideRule,
  modules: Modules,
  place: FilePlace,
): Promise<{ readonly matcher: Matcher; readonly then: Directive }> {
  const kinds = [rule.class, rule.code, rule.if].filter((each) => each !== undefined);
  if (kinds.length !== 1) {
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `a rule of decide has ${kinds.length} of class, code and if, allowed is 1`,
      { at: place },
    );
  }
  return { matcher: await buildMatcher(rule, modules, place), then: rule.then };
}

async function buildMatcher(
  rule: DecideRule,
  modules: Modules,
  place: FilePlace,
): Promise<Matcher> {
  if (rule.class !== undefined) return errorClass(rule.class.value, modules, rule.class.node.place);
  if (rule.code !== undefined) return rule.code;
  const matches = await modules.loadFunction(rule.if?.value ?? "", rule.if?.node.place ?? place);
  return (error) => matches(error) === true;
}

async function errorClass(name: string, modules: Modules, place: FilePlace): Promise<ErrorClass> {
  const known = CLASSES.get(name);
  if (known !== undefined) return known;
  if (!isModuleReference(name)) {
    const fix = suggestion(name, [...CLASSES.keys()]);
    throw new HoldfastError(
      "CONFIG_REFERENCE",
      `${JSON.stringify(name)} is no error class of JavaScript`,
      { at: place, fix: fix.startsWith("did") ? fix : `./errors.js#${name}` },
    );
  }
  const value = await modules.load(name, place);
  if (isErrorClass(value)) return value;
  throw new HoldfastError("CONFIG_MODULE", `${name} is no class of errors`, { at: place });
}

function isErrorClass(value: unknown): value is ErrorClass {
  return typeof value === "function" && (value === Error || value.prototype instanceof Error);
}
