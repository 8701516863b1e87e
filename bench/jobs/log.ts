import type { Job, Variant } from "../job.ts";
import { scaled } from "../job.ts";
import { logOnly } from "../configurations.ts";
import { runControl, speed } from "../load.ts";
import { measureThroughput } from "../throughput.ts";

/** At these rates a million records last a tenth of a second: too short to measure. */
const count = 5_000_000;

const variants = [1, 2, 100].flatMap((connections): readonly Variant[] => {
  const title = connections === 1 ? "1 connection" : `${connections} connections`;
  const control = `log/C control, ${title}`;
  return [
    {
      name: `log/${title}`,
      control,
      run: (context) =>
        measureThroughput({ configuration: logOnly, count: scaled(context, count), connections }),
    },
    {
      name: control,
      run: async (context) => {
        const sent = scaled(context, count);
        const result = await runControl({ count: sent, connections }, "log");
        return speed(sent, result.load.seconds, result.control.cpuSeconds);
      },
    },
  ];
});

/** TCP to the durable log, acknowledged, against the C control in the same rounds. */
export const log: Job = { name: "log", title: "TCP -> durable log, acknowledged", variants };
