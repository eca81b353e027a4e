import { z } from 'zod';
import { defineStep } from '../../operations/step.ts';
import { type Approval, idsOf, lacking, missingOf, stateOf } from './approvals.ts';

const roleArgs = z.object({
  id: z.string(),
  role: z.string(),
  title: z.string(),
  holders: z.array(z.string()).readonly().optional(),
});

/**
 * Lets a release through that everybody has approved who must (S4-23), by what is recorded when the step runs.
 * @param approvalsOf everything that was said of the very release that is deployed
 */
export function requireApprovals(deps: { readonly approvalsOf: (release: string) => Promise<Approval[]> }) {
  return defineStep({
    action: 'require-approvals',
    args: z.object({ release: z.string(), tag: z.string(), roles: z.array(roleArgs) }),
    apply: async ({ release, tag, roles }) => {
      const states = stateOf(roles, await deps.approvalsOf(release));
      const missing = missingOf(states);
      if (missing.length > 0) throw lacking(tag, missing);
      return states.map(({ title, approval }) => `${title}: ${approval?.person.user}`).join(', ');
    },
    verify: async ({ release, roles }) => {
      const states = stateOf(roles, await deps.approvalsOf(release));
      const given = states.filter(({ approval }) => approval !== null);
      return {
        id: idsOf(roles),
        verdict: given.length === roles.length ? 'pass' : 'fail',
        observed: given.map(({ title, approval }) => `${title}: ${approval?.person.user}`).join(', ') || 'nobody',
        expected: `approved by ${roles.map(({ title }) => title).join(', ')}, each another person`,
        samples: given.length,
        needed: roles.length - given.length,
      };
    },
  });
}
