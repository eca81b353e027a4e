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
    return z.union([z.boolean(), nodeSchema]).optional();
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

/** What a file may hold where, for messages about it. */
export interface Outline {
  /** The keys that may stand at a path. */
  keysAt(path: readonly PropertyKey[]): string[];
  /** What the value at a path is for. */
  describe(path: readonly PropertyKey[]): string | undefined;
}

/** @param jsonSchema made when it is first needed: only a file with a mistake needs it */
export function outlineOf(jsonSchema: () => unknown): Outline {
  const schemaAt = (path: readonly PropertyKey[]): SchemaNode | undefined => {
    let node: SchemaNode | undefined = nodeSchema.parse(jsonSchema());
    for (const step of path) {
      const named: SchemaNode | undefined = node?.properties?.[String(step)];
      const any: SchemaNode | boolean | undefined = typeof step === 'number' ? node?.items : node?.additionalProperties;
      node = named ?? (typeof any === 'object' ? any : undefined);
    }
    return node;
  };
  return {
    keysAt: (path) => Object.keys(schemaAt(path)?.properties ?? {}),
    describe: (path) => schemaAt(path)?.description,
  };
}

export const configOutline = outlineOf(configJsonSchema);
