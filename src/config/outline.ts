import { z } from 'zod';
import { configSchema } from './schema.ts';

const nodeSchema = z.looseObject({
  description: z.string().optional(),
  get properties() {
    return z.record(z.string(), nodeSchema).optional();
  },
  get additionalProperties() {
    return z.union([z.boolean(), nodeSchema]).optional();
  },
  get items() {
    return nodeSchema.optional();
  },
});
type SchemaNode = z.output<typeof nodeSchema>;

/** The JSON Schema of appliance.yaml as it is written, for editors. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  return {
    title: 'appliance.yaml',
    description: 'Configuration of an appliance: where the Compose project comes from and how it is run',
    ...z.toJSONSchema(configSchema, { io: 'input', target: 'draft-2020-12' }),
  };
}

/** The part of the schema that describes a path of the file; undefined when there is none. */
function schemaAt(path: readonly PropertyKey[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = nodeSchema.parse(configJsonSchema());
  for (const step of path) {
    const named: SchemaNode | undefined = typeof step === 'number' ? node?.items : node?.properties?.[String(step)];
    const any: SchemaNode | boolean | undefined = node?.additionalProperties;
    node = named ?? (typeof any === 'object' ? any : undefined);
  }
  return node;
}

/** The keys that may stand at a path. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  return Object.keys(schemaAt(path)?.properties ?? {});
}

/** What the value at a path is for. */
export function descriptionOf(path: readonly PropertyKey[]): string | undefined {
  return schemaAt(path)?.description;
}
