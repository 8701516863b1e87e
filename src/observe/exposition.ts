/**
 * The Prometheus text format, version 0.0.4.
 */
import type { Histogram } from "./histogram.ts";

/** Label names and values; names match `[a-z_]+`. */
export type Labels = Readonly<Record<string, string>>;

/** All series of one metric, at one moment. */
export type MetricFamily =
  | {
      readonly kind: "counter" | "gauge";
      readonly name: string;
      readonly help: string;
      readonly samples: readonly (readonly [labels: Labels, value: number])[];
    }
  | {
      readonly kind: "histogram";
      readonly name: string;
      readonly help: string;
      readonly samples: readonly (readonly [labels: Labels, value: Histogram])[];
    };

/** The page that a scraper reads: families in the given order; one without samples is left out. */
export function exposition(families: readonly MetricFamily[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(
      (family) =>
        `# HELP ${family.name} ${escapeHelp(family.help)}\n# TYPE ${family.name} ${family.kind}\n${lines(family).join("\n")}\n`,
    )
    .join("");
}

function lines(family: MetricFamily): readonly string[] {
  if (family.kind === "histogram")
    return family.samples.flatMap(([labels, histogram]) =>
      histogramLines(family.name, labels, histogram),
    );
  return family.samples.map(([labels, value]) => line(family.name, labels, value));
}

function histogramLines(name: string, labels: Labels, histogram: Histogram): readonly string[] {
  const counts = histogram.cumulative();
  const buckets = counts.map((count, index) =>
    line(
      `${name}_bucket`,
      { ...labels, le: numberText(histogram.bounds[index] ?? Infinity) },
      count,
    ),
  );
  return [
    ...buckets,
    line(`${name}_sum`, labels, histogram.sum),
    line(`${name}_count`, labels, counts.at(-1) ?? 0),
  ];
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}`;
}

/** As the format spells numbers: JavaScript's own infinities would be refused by a scraper. */
function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
