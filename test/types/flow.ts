/**
 * Row types flow through a chain without annotations. Nothing runs: a wrong inference fails the build.
 */
import { from, type Infer, json, type Pipeline, pipeline, type RowOf, schema } from "holdfast";
import { tcp } from "holdfast/receivers/tcp";
import { jsonLines } from "holdfast/sinks/file";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type PipeFrom<P> = P extends Pipeline<infer From> ? From : never;

/** Fails to compile when one of these is not `true`. */
type Assert<T extends true> = T;

/** Never called: only its types count. */
export function flow(): unknown {
  const Reading = schema.object({
    device: schema.string(),
    temperature: schema.number(),
    note: schema.optional(schema.string()),
  });
  const rows = from(tcp("meters", { port: 1 })).decode(json(Reading));
  const hot = rows.filter(
    (row): row is Infer<typeof Reading> & { readonly note: string } => row.note !== undefined,
  );
  const mapped = rows.map((row, { offset }) => ({ device: row.device, offset }));
  const flat = mapped.flatMap((row) => [row.offset, row.device]);
  const untyped = from(tcp("gates", { port: 1 })).decode(json());
  const both = pipeline("p", {
    outputs: [
      mapped.writeTo(jsonLines("a", { directory: "a" })),
      untyped.writeTo(jsonLines("b", { directory: "b" })),
    ],
  });
  type Checks = readonly [
    Assert<
      Equal<
        RowOf<typeof rows>,
        { readonly device: string; readonly temperature: number; readonly note?: string }
      >
    >,
    Assert<Equal<RowOf<typeof hot>["note"], string>>,
    Assert<Equal<RowOf<typeof mapped>, { device: string; offset: number }>>,
    Assert<Equal<RowOf<typeof flat>, string | number>>,
    Assert<Equal<RowOf<typeof untyped>, unknown>>,
    Assert<Equal<PipeFrom<typeof both>, "meters" | "gates">>,
  ];
  const checks: Checks | undefined = undefined;
  return [checks, hot, flat, both];
}
