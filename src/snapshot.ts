/**
 * Everything at one moment, as frozen data.
 */
import { LOG_PARTITION, LOG_SOURCE } from "./batch/log-source.ts";
import type { Processor } from "./batch/processor.ts";
import type { Pipeline } from "./contract/graph.ts";
import type { Snapshot } from "./contract/status.ts";
import { CLOSED_LOG, type LiveStorage } from "./live-log.ts";

/** Where to look. */
export interface Looked extends Pick<Snapshot, "units" | "pools"> {
  readonly storage: LiveStorage;
  readonly pipelines: readonly Pipeline[];
  /** Those that were opened, by the name of their pipeline. */
  readonly processors: ReadonlyMap<string, Processor>;
}

/** Takes the snapshot of an ingest. */
export function takeSnapshot({ storage, pipelines, processors, units, pools }: Looked): Snapshot {
  const log = storage.isOpen ? storage.log.status() : CLOSED_LOG;
  return {
    units,
    log,
    pools,
    pipelines: pipelines.map(({ name, source }) => {
      const processor = processors.get(name);
      const status = processor?.status();
      const end = status?.ends[LOG_SOURCE]?.[LOG_PARTITION] ?? 0;
      return {
        pipeline: name,
        batchId: status?.batchId ?? 0,
        lagRecords:
          source === undefined ? Math.max(0, log.nextOffset - end) : (processor?.lagRecords ?? 0),
        watermarkMs: undefined,
      };
    }),
  };
}
