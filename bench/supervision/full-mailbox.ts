import { benchTree } from "./tree.ts";

export interface FullMailboxOptions {
  readonly tells: number;
}

export interface FullMailboxNumbers {
  readonly nsPerTell: number;
}

/** What a tell costs the sender when the mailbox is full. */
export async function fullMailbox({ tells }: FullMailboxOptions): Promise<FullMailboxNumbers> {
  const tree = benchTree();
  const never = new Promise<void>(() => undefined);
  const session = { handle: () => never, close: () => undefined };
  const unit = tree.start<number>({
    name: "unit",
    closeDeadlineMs: 1,
    open: () => Promise.resolve(session),
  });
  await unit.started;
  while (unit.tell(0) === "ok");
  const tell = (): number => {
    const start = performance.now();
    for (let count = 0; count < tells; count++)
      if (unit.tell(count) !== "full") throw new Error("there was room");
    return performance.now() - start;
  };
  tell();
  const tookMs = tell();
  void tree.stop();
  return { nsPerTell: (tookMs * 1e6) / tells };
}
