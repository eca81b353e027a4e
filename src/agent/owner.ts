import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ensureDirectory, readJson, writeFileAtomic } from '../host/files.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';

const ownerSchema = z.object({ name: z.string() });

export interface Claim {
  readonly paths: Paths;
  /** The name in appliance.yaml. */
  readonly name: string;
  /** How many releases the state directory holds. */
  readonly releases: number;
}

/** Which appliance a state directory belongs to. */
function ownerFile(paths: Paths): string {
  return join(paths.lib, 'owner.json');
}

/**
 * Refuses a name other than the one whose containers, networks and volumes the state directory knows: under another
 * name, all of them would be left running and be forgotten. While nothing bears it, a mistake in it may be corrected.
 * @throws ApplianceError `config_invalid`
 */
export async function assertOwner({ paths, name, releases }: Claim): Promise<void> {
  const owner = await readJson(ownerFile(paths), ownerSchema);
  if (!owner || owner.name === name) return;
  if (releases === 0 && !existsSync(join(paths.core, 'definition.json'))) return;
  throw new ApplianceError(
    'config_invalid',
    `the name of the appliance cannot change from ${owner.name} to ${name}: its containers, networks and volumes bear it`,
    {
      left: 'nothing was touched',
      hint: `write name: ${owner.name} again in ${paths.config}; another appliance needs a root of its own (--root DIR)`,
    },
  );
}

/** Remembers whose state directory it is. Only the one writer may call it. @throws ApplianceError `config_invalid` */
export async function claim(by: Claim): Promise<void> {
  await assertOwner(by);
  const file = ownerFile(by.paths);
  if ((await readJson(file, ownerSchema))?.name === by.name) return;
  await ensureDirectory(by.paths.lib);
  await writeFileAtomic(file, `${JSON.stringify({ name: by.name })}\n`, 0o644);
}
