import { z } from 'zod';
import { runInstalled } from '../../../host/run-installed.ts';
import { count } from '../../../lib/text.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

export interface ScannedImage {
  readonly service: string;
  /** `sha256:…` or a reference that the engine knows. */
  readonly image: string;
}

/** Milliseconds that a scanner gets for one image. */
const patience = 300_000;
const trivyReport = z.object({
  Results: z
    .array(z.object({ Vulnerabilities: z.array(z.object({ VulnerabilityID: z.string() })).nullish() }))
    .nullish(),
});
const grypeReport = z.object({
  matches: z.array(z.object({ vulnerability: z.object({ id: z.string(), severity: z.string() }) })),
});

/** No image of the release has a critical vulnerability, says an installed scanner (S0-8, S0-20, S4-22, S4-27). */
export function vulnerabilitiesCheck(images: () => Promise<readonly ScannedImage[]>, timeout = patience): Check {
  return {
    id: 'security.vulnerabilities',
    group: 'security',
    requirement: ['S0-8', 'S0-20', 'S4-22', 'S4-27'],
    about: 'known vulnerabilities of the images',
    expected: 'none that is critical',
    hint: 'build the images again on a current base, then deploy them',
    deadline: 1_800_000,
    look: async (signal) => {
      const all = new Map((await images()).map(({ service, image }) => [image, service]));
      if (all.size === 0) return inconclusive('no release has been built yet');
      const found: string[] = [];
      for (const [image, service] of all) {
        const ids = (await trivy(image, timeout, signal)) ?? (await grype(image, timeout, signal));
        if (ids === undefined)
          return inconclusive('no scanner is installed', { needed: all.size, hint: 'install trivy or grype' });
        if (ids.length > 0)
          found.push(
            `${service}: ${[...new Set(ids)].slice(0, 3).join(', ')}${ids.length > 3 ? ` and ${ids.length - 3} more` : ''}`,
          );
      }
      return found.length > 0
        ? fail(found.join('; '), { samples: all.size })
        : pass(`none in ${count(all.size, 'image')}`, { samples: all.size });
    },
  };
}

/** @returns ids of critical ones; undefined when it is not installed @throws Error when it fails or hangs */
async function trivy(image: string, timeout: number, signal: AbortSignal): Promise<string[] | undefined> {
  const args = ['image', '--quiet', '--format', 'json', '--scanners', 'vuln', '--severity', 'CRITICAL', image];
  const result = await runInstalled('trivy', args, { timeout, signal });
  if (result === undefined) return undefined;
  if (result.exitCode !== 0) throw new Error(`trivy: ${result.stderr.trim().split('\n').at(-1) ?? result.exitCode}`);
  const { Results } = trivyReport.parse(JSON.parse(result.stdout));
  return (Results ?? []).flatMap(({ Vulnerabilities }) =>
    (Vulnerabilities ?? []).map(({ VulnerabilityID }) => VulnerabilityID),
  );
}

async function grype(image: string, timeout: number, signal: AbortSignal): Promise<string[] | undefined> {
  const result = await runInstalled('grype', ['--quiet', '--output', 'json', `docker:${image}`], { timeout, signal });
  if (result === undefined) return undefined;
  if (result.exitCode !== 0) throw new Error(`grype: ${result.stderr.trim().split('\n').at(-1) ?? result.exitCode}`);
  const { matches } = grypeReport.parse(JSON.parse(result.stdout));
  return matches
    .filter(({ vulnerability }) => vulnerability.severity === 'Critical')
    .map(({ vulnerability }) => vulnerability.id);
}
