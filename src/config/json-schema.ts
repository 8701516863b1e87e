/**
 * The JSON Schema of the configuration file, for editors.
 */
import type { JsonSchema } from "./fields.ts";
import { layout } from "./layout.ts";
import { NAME_PATTERN } from "../contract/name.ts";
import { receiverTypes, sinkTypes, sourceTypes, type TypeRegistry } from "./registry.ts";
import { optionsProperties } from "./type-options.ts";

/** The schema as plain data, with the types that come with Holdfast. */
export async function configJsonSchema(): Promise<JsonSchema> {
  const shared: Readonly<Record<string, JsonSchema>> = {
    supervision: { type: "string", description: "name of a strategy" },
  };
  const { properties, ...rest } = layout.jsonSchema;
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Holdfast configuration",
    ...rest,
    properties: {
      ...(typeof properties === "object" ? properties : {}),
      receivers: await typedSchema(receiverTypes, "what brings records in, by name", shared),
      sources: await typedSchema(sourceTypes, "what pipelines read directly, by name", {}),
      sinks: await typedSchema(sinkTypes, "where rows go, by name", {}),
    },
    anyOf: ["receivers", "sources"].map((key) => ({
      type: "object",
      properties: { [key]: { type: "object" } },
      required: [key],
    })),
  };
}

async function typedSchema(
  registry: TypeRegistry<unknown>,
  description: string,
  shared: Readonly<Record<string, JsonSchema>>,
): Promise<JsonSchema> {
  const known = await Promise.all(registry.names.map((name) => typeSchema(registry, name, shared)));
  const own = {
    type: "object",
    properties: { type: { type: "string", pattern: "^\\.\\.?/.*#" } },
    required: ["type"],
  };
  return {
    type: "object",
    description,
    propertyNames: { pattern: NAME_PATTERN.source },
    additionalProperties: { anyOf: [...known, own] },
  };
}

async function typeSchema(
  registry: TypeRegistry<unknown>,
  name: string,
  shared: Readonly<Record<string, JsonSchema>>,
): Promise<JsonSchema> {
  const factory = await registry.load(name);
  const { properties, required } =
    factory === undefined ? { properties: {}, required: [] } : optionsProperties(factory.options);
  return {
    type: "object",
    properties: { type: { const: name }, ...properties, ...shared },
    required: ["type", ...required],
    additionalProperties: false,
  };
}
