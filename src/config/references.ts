/**
 * Whether a pipeline's parts fit together: its form, the names it uses, and what reads what.
 */
import type { Placed } from "./fields.ts";
import type { PipelineConfig, StreamConfig } from "./model.ts";
import { type ConfigNode, keysUnder } from "./node.ts";
import type { Named } from "./objects.ts";
import type { Problems } from "./problems.ts";
import { suggestion } from "./suggest.ts";

/** Names that the file defines, whether or not what they name is right. */
export interface KnownNames {
  readonly receivers: readonly string[];
  readonly sources: readonly string[];
  readonly sinks: readonly string[];
  readonly strategies: readonly string[];
}

/** The names that a file defines. */
export function namesOf(root: ConfigNode): KnownNames {
  return {
    receivers: keysUnder(root, "receivers"),
    sources: keysUnder(root, "sources"),
    sinks: keysUnder(root, "sinks"),
    strategies: keysUnder(root, "supervision"),
  };
}

/** Reports whatever keeps the pipeline from being built. */
export function checkPipeline(
  named: Named<PipelineConfig>,
  known: KnownNames,
  problems: Problems,
): void {
  const check = new PipelineCheck(named, known, problems);
  if (check.isLong()) check.longForm();
  else check.shortForm();
  check.common();
}

/** Reports a name that is not among the known ones. */
export function checkName(
  { value, node }: Placed<string>,
  noun: string,
  known: readonly string[],
  problems: Problems,
): void {
  if (known.includes(value)) return;
  const there = known.length === 0 ? "the file has none" : `there are ${known.join(", ")}`;
  const fix = suggestion(value, known);
  problems.add(
    "CONFIG_REFERENCE",
    `no ${noun} is called ${JSON.stringify(value)}, ${there}`,
    node.place,
    fix.startsWith("did") ? fix : "",
  );
}

/** Keys of the short form, which the long form says per stream. */
const SHORT_KEYS = ["from", "decode", "steps", "sinks"] as const;

class PipelineCheck {
  readonly #named: Named<PipelineConfig>;
  readonly #known: KnownNames;
  readonly #problems: Problems;

  constructor(named: Named<PipelineConfig>, known: KnownNames, problems: Problems) {
    this.#named = named;
    this.#known = known;
    this.#problems = problems;
  }

  /** What streams begin with. */
  get #inputs(): readonly string[] {
    return [...this.#known.receivers, ...this.#known.sources];
  }

  get #inputNoun(): string {
    return this.#known.sources.length === 0 ? "receiver" : "receiver or source";
  }

  #checkInput(name: Placed<string>): void {
    checkName(name, this.#inputNoun, this.#inputs, this.#problems);
  }

  isLong(): boolean {
    return this.#has("streams") || this.#has("outputs");
  }

  shortForm(): void {
    const { from: receivers, sinks, steps } = this.#named.value;
    if (!this.#has("from")) this.#missing("from", `[${this.#inputs.join(", ")}]`);
    if (!this.#has("sinks")) this.#missing("sinks", `[${this.#known.sinks.join(", ")}]`);
    for (const name of receivers ?? []) this.#checkInput(name);
    for (const name of sinks ?? []) checkName(name, "sink", this.#known.sinks, this.#problems);
    this.#noneTwice(sinks ?? []);
    const [firstStep] = steps ?? [];
    if (!this.#has("decode") && firstStep !== undefined)
      this.#stepsWithoutRows(firstStep.reference);
  }

  longForm(): void {
    const { value, name } = this.#named;
    const { streams, outputs } = value;
    const mixed = SHORT_KEYS.filter((key) => this.#has(key));
    if (mixed.length > 0) {
      this.#problems.add(
        "CONFIG_CONFLICT",
        `pipelines.${name} has ${mixed.join(", ")} beside streams and outputs`,
        this.#named.entry.place,
        `move ${mixed.join(", ")} into a stream`,
      );
    }
    if (!this.#has("streams")) this.#missing("streams", "{ ... }");
    if (!this.#has("outputs")) this.#missing("outputs", "[ { from: ..., to: ... } ]");
    const names = keysUnder(this.#named.entry.value, "streams");
    for (const stream of streams ?? []) this.#stream(stream, { streams: streams ?? [], names });
    for (const output of outputs ?? []) {
      checkName(output.from, "stream", names, this.#problems);
      checkName(output.to, "sink", this.#known.sinks, this.#problems);
    }
    this.#noneTwice((outputs ?? []).map(({ to }) => to));
  }

  common(): void {
    const { supervision } = this.#named.value;
    if (supervision !== undefined)
      checkName(supervision, "strategy", this.#known.strategies, this.#problems);
  }

  #stream(
    stream: Named<StreamConfig>,
    {
      streams,
      names,
    }: { readonly streams: readonly Named<StreamConfig>[]; readonly names: readonly string[] },
  ): void {
    const { name, value, entry } = stream;
    if (this.#inputs.includes(name)) {
      this.#problems.add(
        "CONFIG_CONFLICT",
        `stream and ${this.#known.receivers.includes(name) ? "receiver" : "source"} are both called ${JSON.stringify(name)}`,
        entry.place,
        "rename the stream",
      );
    }
    for (const source of value.from) {
      if (value.from.length === 1)
        checkName(
          source,
          `${this.#inputNoun} or stream`,
          [...this.#inputs, ...names],
          this.#problems,
        );
      else this.#checkInput(source);
    }
    this.#rows(stream, streams);
  }

  /**
   * Follows a stream to its receivers: it must not come back to itself, and is decoded once before
   * its steps.
   */
  #rows(
    { name, value, entry }: Named<StreamConfig>,
    streams: readonly Named<StreamConfig>[],
  ): void {
    const chain = upstreams(value, streams, this.#inputs);
    if (chain.some((each) => each.name === name)) {
      this.#problems.add(
        "CONFIG_CONFLICT",
        `stream ${name} reads itself: ${[name, ...chain.map((each) => each.name)].join(" <- ")}`,
        entry.place,
      );
      return;
    }
    const isDecoded = chain.some((each) => each.value.decode !== undefined);
    const [firstStep] = value.steps ?? [];
    if (value.decode !== undefined && isDecoded) {
      this.#problems.add(
        "CONFIG_CONFLICT",
        `stream ${name} decodes what is decoded already`,
        entry.place,
        "leave out decode",
      );
    }
    if (value.decode === undefined && !isDecoded && firstStep !== undefined)
      this.#stepsWithoutRows(firstStep.reference);
  }

  #stepsWithoutRows({ node }: Placed<string>): void {
    this.#problems.add(
      "CONFIG_CONFLICT",
      "steps take rows, but nothing decodes the records",
      node.place,
      "decode: json",
    );
  }

  #noneTwice(sinks: readonly Placed<string>[]): void {
    const seen = new Set<string>();
    for (const { value, node } of sinks) {
      if (seen.has(value))
        this.#problems.add(
          "CONFIG_CONFLICT",
          `2 outputs go to sink ${JSON.stringify(value)}, 1 is allowed`,
          node.place,
        );
      seen.add(value);
    }
  }

  /** Whether the file has the key, also when its value is wrong and was reported. */
  #has(key: string): boolean {
    const { value } = this.#named.entry;
    return value.kind === "map" && value.entries.has(key);
  }

  #missing(key: string, example: string): void {
    this.#problems.add(
      "CONFIG_KEY_MISSING",
      `pipelines.${this.#named.name} lacks ${JSON.stringify(key)}`,
      this.#named.entry.place,
      `${key}: ${example}`,
    );
  }
}

/**
 * The streams above one, nearest first; the chain ends at receivers and sources, at an unknown name, or where
 * it repeats.
 */
function upstreams(
  stream: StreamConfig,
  streams: readonly Named<StreamConfig>[],
  inputs: readonly string[],
): readonly Named<StreamConfig>[] {
  const chain: Named<StreamConfig>[] = [];
  let current: StreamConfig | undefined = stream;
  while (current !== undefined && chain.length <= streams.length) {
    const source: string | undefined =
      current.from.length === 1 ? current.from[0]?.value : undefined;
    const next: Named<StreamConfig> | undefined = streams.find(
      ({ name }) => name === source && !inputs.includes(name),
    );
    if (next === undefined || chain.includes(next)) return chain;
    chain.push(next);
    current = next.value;
  }
  return chain;
}
