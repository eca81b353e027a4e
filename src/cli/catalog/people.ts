import { acceptMovedTag, policy, tag } from './shared.ts';
import type { VerbSpec } from './spec.ts';

/** Verbs about what people say of a release. */
export const peopleVerbs = {
  approve: {
    summary: 'approve a release in a role, where the policy asks for it before production',
    group: 'people',
    args: [tag],
    options: {
      role: { value: 'ROLE', help: 'the role that you approve in; left out: show who has approved and who is missing' },
      withdraw: { help: 'take your approval back' },
      digest: {
        value: 'DIGEST',
        help: 'approve only what you have looked at: the digest that plan shows, or its beginning',
      },
      comment: { value: 'TEXT', help: 'a remark; stands in the audit and in the report' },
      policy,
      'accept-moved-tag': acceptMovedTag,
    },
    about:
      'An approval belongs to exactly what the tag would bring into service now: files, images, settings and environment. When any of it changes, a new approval is needed. Each role takes another person, proven by the kernel: behind sudo and su it is who logged in; root alone is nobody. Without --role it lists the roles (exit status 0, or 4 while somebody is missing). deploy refuses a release that lacks an approval (exit status 7); a rollback never asks.',
    examples: [
      'appliance approve v1.0',
      'appliance approve v1.0 --role tech-lead',
      'appliance approve v1.0 --role security --digest sha256:3fa1c09e --comment "scan of today is clean"',
      'appliance approve v1.0 --role security --withdraw',
    ],
  },
} as const satisfies Record<string, VerbSpec>;
