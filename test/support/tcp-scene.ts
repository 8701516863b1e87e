/** A tcp receiver on a network and with a log that a test plays. */
import { tcp, type TcpInput } from "../../receivers/tcp/index.ts";
import { type MemoryPeer, MemorySockets } from "./memory-network.ts";
import { ReceiverHarness } from "./receiver-harness.ts";

/** The parts that a test moves. */
export interface TcpScene {
  readonly engine: ReceiverHarness;
  readonly sockets: MemorySockets;
  readonly dial: () => MemoryPeer;
}

/** An open receiver; it acknowledges with count lines unless the options say otherwise. */
export async function tcpScene(
  options: Partial<TcpInput> = {},
  inflightBytesMax: number = Infinity,
): Promise<TcpScene> {
  const sockets = new MemorySockets();
  const engine = new ReceiverHarness({ sockets, inflightBytesMax });
  await engine.open(tcp("meters", { port: 0, acknowledge: "count-line", ...options }));
  return { engine, sockets, dial: () => sockets.dial(engine.port) };
}
