/**
 * `holdfast/testing`: parts for testing one's own pipelines without a disk or a network.
 */
export { type PipelineTest, type TestedLetter, testPipeline } from "./pipeline-test.ts";
export { VirtualClock } from "./virtual-clock.ts";
