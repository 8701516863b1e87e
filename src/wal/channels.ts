/**
 * Channels of the log: their ids, names and newest durable positions, and the epochs of their
 * receivers.
 */
import { HoldfastError } from "../errors.ts";
import { NAME_BYTES_MAX, type NameRow, nameRowBytes, type PositionRow } from "./tables.ts";

/** Channels kept per receiver; the least recently used ones are forgotten first, and counted. */
export const CHANNELS_PER_RECEIVER_MAX = 10_000;

/** One channel. Its id is never given to another one. */
export interface Channel {
  readonly id: number;
  readonly receiver: string;
  readonly name: string;
  /** Segment whose NAMES hold it: it is written again when that is not the current one. */
  announcedIn: number;
  /** The entry that used it last, by number: one that is not written yet must not lose its name. */
  usedIn: number;
  /** What its row of NAMES takes. */
  readonly nameBytes: number;
  position: Uint8Array | undefined;
}

/** What the head of a segment says about channels. */
export interface ChannelTables {
  readonly channels: readonly Channel[];
  readonly names: readonly NameRow[];
  readonly positions: readonly PositionRow[];
}

/** The row of NAMES for a channel. */
export function nameRow(channel: Channel): NameRow {
  return { channelId: channel.id, receiver: channel.receiver, channel: channel.name };
}

interface ReceiverChannels {
  epoch: number;
  readonly channels: Map<string, Channel>;
}

/** All channels. A map per receiver: one look-up by text finds the channel of an append. */
export class ChannelTable {
  readonly #receivers = new Map<string, ReceiverChannels>();
  readonly #byId = new Map<number, Channel>();
  /** What the last append found: most appends follow one of the same channel. */
  #last: { readonly owner: ReceiverChannels; readonly channel: Channel } | undefined;
  #nextId = 1;
  #forgotten = 0;

  /** Channels that were dropped because their receiver had too many. */
  get forgottenCount(): number {
    return this.#forgotten;
  }

  /** Takes what recovery found in the tables and entries of the newest segments, in their order. */
  restore(names: Iterable<NameRow>, positions: Iterable<PositionRow>): void {
    for (const row of names) {
      this.#nextId = Math.max(this.#nextId, row.channelId + 1);
      const { channels } = this.#receiver(row.receiver);
      const known = channels.get(row.channel);
      // A channel that was forgotten and came back has a newer id: that one counts.
      if (known !== undefined && known.id >= row.channelId) continue;
      if (known !== undefined) this.#byId.delete(known.id);
      this.#insert(channels, { id: row.channelId, receiver: row.receiver, name: row.channel });
    }
    for (const row of positions) {
      const channel = this.#byId.get(row.channelId);
      if (channel !== undefined) channel.position = row.position;
    }
  }

  /** Ids up to this one were used, though their names may be lost. */
  reserveIds(highestId: number): void {
    this.#nextId = Math.max(this.#nextId, highestId + 1);
  }

  /** The channel of an append. Throws STORE_FENCED when the epoch is older than the newest seen. */
  channelFor(receiver: string, epoch: number, name: string): Channel {
    const last = this.#last;
    if (
      last !== undefined &&
      last.channel.name === name &&
      last.channel.receiver === receiver &&
      last.owner.epoch === epoch
    )
      return last.channel;
    const owner = this.#receiver(receiver);
    const channel = this.#find(owner, { receiver, epoch, name });
    this.#last = { owner, channel };
    return channel;
  }

  #find(
    entry: ReceiverChannels,
    { receiver, epoch, name }: { receiver: string; epoch: number; name: string },
  ): Channel {
    if (epoch < entry.epoch) {
      throw new HoldfastError(
        "STORE_FENCED",
        `${receiver}: store() of epoch ${epoch}, epoch ${entry.epoch} runs`,
        { fix: "stop using the context when its signal aborts" },
      );
    }
    entry.epoch = epoch;
    const found = entry.channels.get(name);
    if (found !== undefined) return found;
    const nameBytes = nameRowBytes(receiver, name);
    if (nameBytes > NAME_BYTES_MAX)
      throw new HoldfastError(
        "BLOCK_INVALID",
        `${receiver}: channel name takes ${nameBytes} bytes, at most ${NAME_BYTES_MAX}`,
      );
    const id = this.#nextId;
    this.#nextId += 1;
    return this.#insert(entry.channels, { id, receiver, name });
  }

  /** Refuses older epochs of this receiver from now on. */
  fence(receiver: string, epoch: number): void {
    const entry = this.#receiver(receiver);
    entry.epoch = Math.max(entry.epoch, epoch);
  }

  position(receiver: string, channel: string): Uint8Array | undefined {
    return this.#receivers.get(receiver)?.channels.get(channel)?.position;
  }

  /** A position that became durable. */
  movePosition(channelId: number, position: Uint8Array): void {
    const channel = this.#byId.get(channelId);
    if (channel !== undefined) channel.position = position.slice();
  }

  byId(channelId: number): Channel | undefined {
    return this.#byId.get(channelId);
  }

  /** Rows for the head of a segment, and the channels they are about. */
  tables(): ChannelTables {
    const channels = [...this.#byId.values()];
    const positions: PositionRow[] = [];
    for (const { id, position } of channels)
      if (position !== undefined) positions.push({ channelId: id, position });
    return { channels, names: channels.map(nameRow), positions };
  }

  /**
   * Forgets the least recently used channels of receivers that have too many, and further ones
   * until names and positions fit in `tableBytesMax`. Those that an unwritten entry uses (number
   * `oldestOpenEntry` or above) stay.
   */
  trim(oldestOpenEntry: number, tableBytesMax: number): void {
    for (const { channels } of this.#receivers.values()) {
      if (channels.size > CHANNELS_PER_RECEIVER_MAX)
        this.#forgetWhile(
          leastUsed(channels.values(), oldestOpenEntry),
          () => channels.size > CHANNELS_PER_RECEIVER_MAX,
        );
    }
    let tableBytes = 0;
    for (const channel of this.#byId.values()) tableBytes += rowBytes(channel);
    if (tableBytes <= tableBytesMax) return;
    this.#forgetWhile(leastUsed(this.#byId.values(), oldestOpenEntry), (channel) => {
      const isOver = tableBytes > tableBytesMax;
      if (isOver) tableBytes -= rowBytes(channel);
      return isOver;
    });
  }

  #forgetWhile(candidates: readonly Channel[], isOver: (candidate: Channel) => boolean): void {
    for (const channel of candidates) {
      if (!isOver(channel)) return;
      this.#byId.delete(channel.id);
      this.#receivers.get(channel.receiver)?.channels.delete(channel.name);
      if (this.#last?.channel === channel) this.#last = undefined;
      this.#forgotten += 1;
    }
  }

  #receiver(receiver: string): ReceiverChannels {
    const known = this.#receivers.get(receiver);
    if (known !== undefined) return known;
    const created: ReceiverChannels = { epoch: 0, channels: new Map() };
    this.#receivers.set(receiver, created);
    return created;
  }

  #insert(
    channels: Map<string, Channel>,
    named: Pick<Channel, "id" | "receiver" | "name">,
  ): Channel {
    const nameBytes = nameRowBytes(named.receiver, named.name);
    const channel: Channel = {
      ...named,
      nameBytes,
      announcedIn: 0,
      usedIn: 0,
      position: undefined,
    };
    channels.set(channel.name, channel);
    this.#byId.set(channel.id, channel);
    return channel;
  }
}

function leastUsed(channels: Iterable<Channel>, oldestOpenEntry: number): Channel[] {
  return [...channels]
    .filter((channel) => channel.usedIn < oldestOpenEntry)
    .toSorted((left, right) => left.usedIn - right.usedIn);
}

function rowBytes(channel: Channel): number {
  return channel.nameBytes + 8 + (channel.position?.length ?? 0);
}
