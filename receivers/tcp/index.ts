/**
 * `holdfast/receivers/tcp`: messages over TCP, plain or with TLS.
 */
import { defineReceiver, type ReceiverFactory } from "../../src/define-receiver.ts";
import { accessOf, checkAccess } from "../../src/access.ts";
import { redelivers, type TcpInput, tcpOptions } from "./options.ts";
import { TcpServer } from "./server.ts";

export type { Acknowledge, FramingOption, TcpInput, TcpOptions } from "./options.ts";

/**
 * Listens for connections and stores each message that they send; see {@link TcpInput} for the options.
 *
 * With `acknowledge` a client reads how many of the messages of its connection are on disk: it may forget those
 * and has to send the others again over a new connection. Every message counts, also one that no pipeline can
 * decode; empty lines are no messages. A client that ends its side (FIN) still gets its last count. A message over
 * the limit ends its connection after the count of those before it. What comes last without its end is never a
 * record: it is set aside as MESSAGE_UNTERMINATED.
 *
 * A client that gets counts may begin with a line `HOLDFAST-SESSION <name>` (1 .. 128 letters, digits, `. _ : -`). It is
 * answered with a line: how many messages of that session are on disk, over all its connections; or `0 unknown`, when
 * nothing is known of it: it is new, or was forgotten, as the least recently used one is beyond 10,000. Counts go on from
 * there. A client that sends again from that count sends nothing twice. A newer connection of a session ends the older.
 *
 * A restart ends its connections. With `acknowledge` the client sends again what the last count does not cover, and
 * nothing else of it is kept. Without, what was read is stored first, or set aside, or counted as dropped.
 */
export const tcp: ReceiverFactory<TcpInput> = defineReceiver({
  type: "tcp",
  redelivers,
  options: tcpOptions,
  check: (options) => checkAccess("tcp", options),
  checkFiles: accessOf,
  async open(context) {
    const server = new TcpServer(context);
    await server.listen();
    return server;
  },
});
