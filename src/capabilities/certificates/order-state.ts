import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ensureDirectory, readIfPresent, readJson, writeFileAtomic } from '../../host/files.ts';

const answerSchema = z.object({
  name: z.string(),
  type: z.enum(['http-01', 'dns-01']),
  token: z.string(),
  /** What the file or the TXT record contains; the authority publishes nothing of it, and anybody may read it. */
  value: z.string(),
});
/** What was put where the authority looks. */
export type Answer = z.output<typeof answerSchema>;

const orderStateSchema = z.object({
  directory: z.string(),
  names: z.array(z.string()),
  profile: z.string().nullable(),
  keyType: z.string(),
  /** Milliseconds since 1970. */
  begun: z.number(),
  /** Null while nobody knows whether the authority has heard of it. */
  url: z.string().nullable(),
  answers: z.array(answerSchema),
});
export type OrderState = z.output<typeof orderStateSchema>;

/** An order under way, on disk before each word to the authority: whoever comes after a crash goes on with it. */
export class OrderFile {
  readonly #directory: string;
  readonly #name: string;

  /** @param name of the set; an order that only tests has another one */
  constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  async read(): Promise<{ readonly state: OrderState; readonly key: string } | undefined> {
    const state = await readJson(this.#path('json'), orderStateSchema);
    const key = await readIfPresent(this.#path('key.pem'));
    return state && key !== undefined ? { state, key } : undefined;
  }

  /** The key first: an order without it would be worth nothing. */
  async begin(state: OrderState, key: string): Promise<void> {
    await ensureDirectory(this.#directory, 0o700);
    await writeFileAtomic(this.#path('key.pem'), key, 0o600);
    await this.write(state);
  }

  async write(state: OrderState): Promise<void> {
    await writeFileAtomic(this.#path('json'), `${JSON.stringify(state)}\n`, 0o600);
  }

  async remove(): Promise<void> {
    await rm(this.#path('json'), { force: true });
    await rm(this.#path('key.pem'), { force: true });
  }

  #path(kind: string): string {
    return join(this.#directory, `${this.#name}.${kind}`);
  }
}
