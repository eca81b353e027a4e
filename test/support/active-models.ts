import { execa } from 'execa';
import { z } from 'zod';

const activeSchema = z.object({
  sha256: z.string(),
  version: z.string(),
  candidate: z.object({ version: z.string(), sha256: z.string(), weight: z.number() }).nullable(),
});

/** What each running backend of an appliance reports as its models, asked by itself and not by the appliance. */
export async function activeModels(appliance: string): Promise<z.output<typeof activeSchema>[]> {
  const label = ['--filter', `label=appliance.name=${appliance}`, '--filter', 'label=appliance.service=backend'];
  const { stdout } = await execa('docker', ['ps', '--quiet', ...label]);
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}';
  const ids = stdout.split('\n').filter((id) => id !== '');
  return Promise.all(
    ids.map(async (id) => {
      const address = (await execa('docker', ['inspect', '--format', format, id])).stdout.trim().split(' ')[0];
      return activeSchema.parse(await (await fetch(`http://${address}:8000/api/models/active`)).json());
    }),
  );
}
