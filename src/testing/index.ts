/**
 * `holdfast/testing`: parts for testing one's own code: pipelines in memory, time that stands still, a disk that lies,
 * a TCP proxy that goes wrong.
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
export { FaultProxy, type FaultProxyOptions, type ProxyFault } from "./fault-proxy.ts";
export type { ConnectionFault, FaultTrigger } from "./fault-proxy-connection.ts";
export type { ProxyEvent, ProxyEventMatch, ProxySide } from "./fault-proxy-record.ts";
export { type PipelineTest, type TestedLetter, testPipeline } from "./pipeline-test.ts";
export {
  type ConformanceTest,
  receiverConformance,
  type ReceiverSubject,
  type TrialUpstream,
} from "./receiver-conformance.ts";
export { type Incarnation, ReceiverTrial } from "./receiver-trial.ts";
export { createSeededRandom, type SeededRandom } from "./seeded-random.ts";
export { VirtualClock } from "./virtual-clock.ts";
