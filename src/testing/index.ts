/**
 * `holdfast/testing`: parts for testing one's own code: pipelines in memory, time that stands still, a disk that lies.
 */
export {
  BLOCK_BYTES,
  type CallKind,
  type CallMatch,
  type DiskDamage,
  type DiskFault,
  type FaultAction,
  type FaultEffect,
  type FaultSchedule,
  type Hold,
  type Keep,
  type PartFate,
  POWER_OFF,
  SECTOR_BYTES,
  SimulatedDisk,
  type SimulatedDiskOptions,
  type TornBlock,
  type UnsyncedItem,
  VERSIONS_MAX,
} from "./disk.ts";
export { type PipelineTest, type TestedLetter, testPipeline } from "./pipeline-test.ts";
export { createSeededRandom, type SeededRandom } from "./seeded-random.ts";
export { VirtualClock } from "./virtual-clock.ts";
