import { type Job, type Measurement, type RunContext, scaled, type Variant } from "../job.ts";
import { runProbe } from "../wal/run-probe.ts";

const seconds = 4;
const queued = 100_000;
const crashes = 1_000;
const idleCount = 10_000;
const tells = 5_000_000;

type Of = "unit" | "actor";
type Run = (of: Of, context: RunContext) => Promise<readonly Measurement[]>;

const handled =
  (workMs: number): Run =>
  async (of, context) => {
    const options = { of, workMs, seconds: context.quick ? 1 : seconds };
    const { perSecond, cpuNsPerMessage } = await runProbe("messages", options);
    return [
      { metric: "messages per second", value: perSecond, unit: "/s" },
      { metric: "CPU per message", value: cpuNsPerMessage, unit: "ns" },
    ];
  };

const crashed: Run = async (of, context) => {
  const numbers = await runProbe("crash", { of, queued, crashes: scaled(context, crashes) });
  return [
    { metric: "crash to serving p50", value: numbers.p50Ms, unit: "ms" },
    { metric: "crash to serving p99", value: numbers.p99Ms, unit: "ms" },
    { metric: "crash to serving p99, CPU", value: numbers.cpuP99Ms, unit: "ms" },
  ];
};

const idle: Run = async (of, context) => {
  const { bytesPerUnit } = await runProbe("idleUnits", { of, count: scaled(context, idleCount) });
  return [{ metric: "heap", value: bytesPerUnit, unit: "B" }];
};

async function full(context: RunContext): Promise<readonly Measurement[]> {
  const { nsPerTell } = await runProbe("fullMailbox", { tells: scaled(context, tells) });
  return [{ metric: "tell", value: nsPerTell, unit: "ns" }];
}

/** The same of one of our units and of one actor of plain nact. */
function pair(what: string, run: Run): readonly Variant[] {
  const control = `supervision/${what}, nact`;
  return [
    { name: `supervision/${what}`, control, run: (context) => run("unit", context) },
    { name: control, run: (context) => run("actor", context) },
  ];
}

/** Supervised units beside plain actors of nact 7.6.2. */
export const supervision: Job = {
  name: "supervision",
  title: "one supervised unit with a synchronous handler, against one actor of plain nact",
  ratioTo: "nact",
  variants: [
    ...pair("messages", handled(0)),
    ...pair("messages, 1 ms of other work per turn", handled(1)),
    ...pair("crash with 100,000 queued", crashed),
    ...pair("idle", idle),
    { name: "supervision/full mailbox", run: full },
  ],
};
