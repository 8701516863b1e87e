/** The clock of the public test kit, for our own tests. */
export { VirtualClock } from "../../src/testing/virtual-clock.ts";
