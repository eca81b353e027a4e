import { z } from 'zod';
import type { PolicyDemands } from '../../../config/policy-demands.ts';
import { runInstalled } from '../../../host/run-installed.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

const score = z.object({ score: z.number().nullable() });
const report = z.object({
  categories: z.object({ performance: score, accessibility: score, 'best-practices': score }),
});
/** Milliseconds that Lighthouse gets for one page. */
const patience = 180_000;

/**
 * The scores of a page, by an installed Lighthouse with an installed Chromium (S1-52).
 * @param url of the page, through the edge
 */
export function lighthouseCheck(url: string, wants: NonNullable<PolicyDemands['lighthouse']>): Check {
  return {
    id: 'load.lighthouse',
    group: 'load',
    requirement: [wants.id],
    about: 'Lighthouse scores of the first page',
    expected: `performance above ${wants.performance}, accessibility above ${wants.accessibility}, best practices above ${wants.bestPractices}`,
    hint: 'open the page in Chromium, and there DevTools, Lighthouse',
    deadline: patience + 10_000,
    look: async (signal) => {
      const args = [
        url,
        '--output=json',
        '--output-path=stdout',
        '--quiet',
        '--chrome-flags=--headless=new --no-sandbox --ignore-certificate-errors',
        '--only-categories=performance,accessibility,best-practices',
      ];
      const result = await runInstalled('lighthouse', args, { timeout: patience, signal });
      if (result === undefined)
        return inconclusive('no Lighthouse is installed', {
          needed: 1,
          hint: 'install chromium, and Lighthouse with npm install --global lighthouse',
        });
      if (result.exitCode !== 0)
        return inconclusive(`Lighthouse failed: ${result.stderr.trim().split('\n').at(-1) ?? result.exitCode}`, {
          needed: 1,
        });
      const { categories } = report.parse(JSON.parse(result.stdout));
      const scores = [categories.performance, categories.accessibility, categories['best-practices']].map(
        ({ score: of }) => (of ?? 0) * 100,
      );
      const [performance = 0, accessibility = 0, practices = 0] = scores;
      const good =
        performance > wants.performance && accessibility > wants.accessibility && practices > wants.bestPractices;
      return (good ? pass : fail)(
        `performance ${performance.toFixed(0)}, accessibility ${accessibility.toFixed(0)}, best practices ${practices.toFixed(0)}`,
        { samples: 1 },
      );
    },
  };
}
