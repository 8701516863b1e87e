/**
 * Ports for programs that are told theirs in a configuration file.
 */
import { createServer } from "node:net";

/** Below the range from which Linux takes the ports of outgoing connections: a restart finds its port free. */
const portMin = 15_000;
const portMax = 32_000;
const triesMax = 200;

/** Returns `count` different loopback ports that nobody listens on. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries === triesMax) throw new Error(`no free port after ${triesMax} tries`);
    const port = portMin + Math.floor(Math.random() * (portMax - portMin));
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
