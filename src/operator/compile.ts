/**
 * Turns a pipeline's graph into one loop per slice of a block.
 *
 * Rows are pushed from node to node by direct calls; a stream that only forwards bytes is never entered, its
 * chunk names the records by index. Nothing here waits or does IO.
 */
import { isAscii } from "node:buffer";
import type {
  DecodeNode,
  FilterNode,
  FlatMapNode,
  FromNode,
  GraphNode,
  MapNode,
  Output,
  Pipeline,
  RowNode,
} from "../contract/graph.ts";
import type { StoredBlock } from "../contract/record.ts";
import { valueEnd, valueStart } from "../contract/record.ts";
import type { RowChunk } from "../contract/sink.ts";
import { toError } from "../errors.ts";
import { OriginView } from "./origin-view.ts";
import { isFaithful } from "./stream.ts";

/** Records that are processed before other work gets its turn. */
export const SLICE_RECORDS = 2_000;

/** Records that become text together: few enough that the text dies young. */
const PIECE_RECORDS = 500;

/** Called for a record that a stage could not take. It returns to set the record aside, or throws to stop the batch. */
export type Failed = (failure: {
  readonly stage: string;
  readonly cause: Error;
  readonly block: StoredBlock;
  readonly recordIndex: number;
}) => void;

/** A pipeline's loop. Not reentrant: the chunks of one call die with the next. */
export interface CompiledPipeline {
  /** Records per call of `process`: a slice, or whole blocks where no record is looked at. */
  readonly sliceRecordsMax: number;
  /** Runs records `[from, to)` of a block; one chunk per output, undefined where it has no row. */
  process(block: StoredBlock, from: number, to: number): readonly (RowChunk<unknown> | undefined)[];
}

type Push = (row: unknown, recordIndex: number) => void;

/** Rows of one output while a slice runs. */
class Collector {
  readonly output: Output<unknown, string>;
  readonly rows: unknown[] = [];
  recordIndexes: Uint32Array = new Uint32Array(SLICE_RECORDS);
  readonly #bytes: "original" | "changed";

  constructor(output: Output<unknown, string>) {
    this.output = output;
    this.#bytes = isFaithful(output.input) ? "original" : "changed";
  }

  readonly push: Push = (row, recordIndex) => {
    const count = this.rows.length;
    if (count === this.recordIndexes.length) this.#grow();
    this.recordIndexes[count] = recordIndex;
    this.rows.push(row);
  };

  /** A flatMap may give more rows than a slice has records. */
  #grow(): void {
    const wider = new Uint32Array(this.recordIndexes.length * 2);
    wider.set(this.recordIndexes);
    this.recordIndexes = wider;
  }

  take(block: StoredBlock): RowChunk<unknown> | undefined {
    const count = this.rows.length;
    if (count === 0) return undefined;
    return { count, rows: this.rows, bytes: this.#bytes, block, recordIndexes: this.recordIndexes };
  }
}

/** Compiles a pipeline. `failed` decides what a throw of a decoder or operator leads to. */
export function compile(pipeline: Pipeline, failed: Failed): CompiledPipeline {
  const collectors = pipeline.outputs.map((output) => new Collector(output));
  const roots = new Map<FromNode, DecodeNode[]>();
  const consumers = new Map<GraphNode, (RowNode | Collector)[]>();
  for (const collector of collectors) link(collector, roots, consumers);
  const origin = new OriginView();
  const build = (node: GraphNode): Push =>
    fan(
      (consumers.get(node) ?? []).map((next) =>
        next instanceof Collector ? next.push : step(next, build(next), origin, failed),
      ),
    );
  const decoders = [...roots].flatMap(([root, nodes]) =>
    nodes.map((node) => ({ receivers: new Set(root.receivers), node, push: build(node) })),
  );
  const sequence = new Sequence();
  const isRaw = decoders.length === 0;
  return {
    sliceRecordsMax: isRaw ? Infinity : SLICE_RECORDS,
    process(block, from, to) {
      for (const collector of collectors) collector.rows.length = 0;
      for (const { receivers, node, push } of decoders) {
        if (receivers.has(block.receiver))
          decodeSlice({ node, push, origin, failed }, block, from, to);
      }
      return collectors.map((collector) =>
        collector.output.input.kind === "from"
          ? forward(collector.output.input, block, sequence.range(from, to))
          : collector.take(block),
      );
    },
  };
}

/** Enters an output's chain of nodes into the consumer lists, each edge once: streams that share a node share its work. */
function link(
  collector: Collector,
  roots: Map<FromNode, DecodeNode[]>,
  consumers: Map<GraphNode, (RowNode | Collector)[]>,
): void {
  let child: RowNode | Collector = collector;
  for (let node = collector.output.input; node.kind !== "from"; node = node.input) {
    const known = consumers.get(node);
    if (known?.includes(child) === true) return;
    consumers.set(node, [...(known ?? []), child]);
    if (known !== undefined) return;
    if (node.kind === "decode") roots.set(node.input, [...(roots.get(node.input) ?? []), node]);
    child = node;
  }
}

function fan(pushes: readonly Push[]): Push {
  const [only] = pushes;
  if (only !== undefined && pushes.length === 1) return only;
  return (row, recordIndex) => {
    for (const push of pushes) push(row, recordIndex);
  };
}

function step(node: RowNode, push: Push, origin: OriginView, failed: Failed): Push {
  const fail = (thrown: unknown, recordIndex: number): void =>
    failed({ stage: stageOf(node), cause: toError(thrown), block: origin.block, recordIndex });
  switch (node.kind) {
    case "decode":
      return push;
    case "filter":
      return filterStep(node, push, origin, fail);
    case "map":
      return mapStep(node, push, origin, fail);
    case "flat-map":
      return flatMapStep(node, push, origin, fail);
  }
}

type Fail = (thrown: unknown, recordIndex: number) => void;

// The next node is called outside the try: what it throws is its own failure.
function filterStep({ keep }: FilterNode, push: Push, origin: OriginView, fail: Fail): Push {
  return (row, recordIndex) => {
    let kept: boolean;
    try {
      kept = keep(row, origin);
    } catch (thrown) {
      return fail(thrown, recordIndex);
    }
    if (kept) push(row, recordIndex);
  };
}

function mapStep({ to }: MapNode, push: Push, origin: OriginView, fail: Fail): Push {
  return (row, recordIndex) => {
    let mapped: unknown;
    try {
      mapped = to(row, origin);
    } catch (thrown) {
      return fail(thrown, recordIndex);
    }
    push(mapped, recordIndex);
  };
}

function flatMapStep({ to }: FlatMapNode, push: Push, origin: OriginView, fail: Fail): Push {
  return (row, recordIndex) => {
    let mapped: readonly unknown[];
    try {
      // Drained before any row goes on: a throw halfway sets the whole record aside, never a part of it.
      mapped = [...to(row, origin)];
    } catch (thrown) {
      return fail(thrown, recordIndex);
    }
    for (const each of mapped) push(each, recordIndex);
  };
}

interface DecodeLoop {
  readonly node: DecodeNode;
  readonly push: Push;
  readonly origin: OriginView;
  readonly failed: Failed;
}

function decodeSlice(loop: DecodeLoop, block: StoredBlock, from: number, to: number): void {
  for (let start = from; start < to; start += PIECE_RECORDS)
    decodePiece(loop, block, start, Math.min(start + PIECE_RECORDS, to));
}

function decodePiece(
  { node, push, origin, failed }: DecodeLoop,
  block: StoredBlock,
  from: number,
  to: number,
): void {
  const decode = pieceDecoder(node.decoder, block, from, to);
  origin.block = block;
  for (let recordIndex = from; recordIndex < to; recordIndex++) {
    origin.recordIndex = recordIndex;
    let row: unknown;
    try {
      row = decode(valueStart(block, recordIndex), valueEnd(block, recordIndex));
    } catch (thrown) {
      failed({ stage: stageOf(node), cause: toError(thrown), block, recordIndex });
      continue;
    }
    push(row, recordIndex);
  }
}

/**
 * Decodes values of a piece by their place in the block. ASCII becomes text once for the whole piece, of which every
 * record is a part: a sixth less time than a conversion per record, measured with JSON records of 104 bytes.
 */
function pieceDecoder(
  { decode, decodeText }: DecodeNode["decoder"],
  block: StoredBlock,
  from: number,
  to: number,
): (start: number, end: number) => unknown {
  const bytes = Buffer.from(block.values.buffer, block.values.byteOffset, block.values.byteLength);
  const first = valueStart(block, from);
  const span = bytes.subarray(first, valueEnd(block, to - 1));
  if (decodeText === undefined || !isAscii(span)) return (start, end) => decode(bytes, start, end);
  const text = span.toString("latin1");
  return (start, end) => decodeText(text.slice(start - first, end - first));
}

/** How dead letters name the node. */
function stageOf(node: RowNode): string {
  return node.kind === "decode" ? "decode" : `${node.kind}:${node.name}`;
}

function forward(
  { receivers }: FromNode,
  block: StoredBlock,
  recordIndexes: Uint32Array,
): RowChunk<unknown> | undefined {
  if (!receivers.includes(block.receiver)) return undefined;
  return { count: recordIndexes.length, rows: undefined, bytes: "original", block, recordIndexes };
}

/** The numbers 0, 1, 2 ... as views of one growing array. */
class Sequence {
  #numbers: Uint32Array = new Uint32Array(0);

  range(from: number, to: number): Uint32Array {
    if (to > this.#numbers.length)
      this.#numbers = Uint32Array.from(
        { length: Math.max(to, SLICE_RECORDS) },
        (_, index) => index,
      );
    return this.#numbers.subarray(from, to);
  }
}
