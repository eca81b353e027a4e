import { acceptMovedTag, policy, tag } from './shared.ts';
import type { VerbSpec } from './spec.ts';

/** Verbs about what people say of a release. */
export const peopleVerbs = {
  approve: {
    summary: 'approve a release in a role, where the policy asks for it before production',
    group: 'people',
    gate: 'act',
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
  signoff: {
    summary: 'answer what only people can tell of a release, and sign it off',
    group: 'people',
    gate: 'act',
    args: [tag],
    options: {
      answer: {
        value: 'ID=ANSWER',
        many: true,
        help: 'yes, no or none (does not apply), and a remark: S1-19=no:"draft only"; may be repeated',
      },
      accept: { help: 'sign the release off: yes' },
      reject: { help: 'sign the release off: no; needs --comment' },
      comment: { value: 'TEXT', help: 'why; needed for a no, and to accept in spite of one' },
      questions: { help: 'show the questions with what was answered, and change nothing' },
      policy: {
        value: 'NAME',
        help: 'whose questions are asked as well; default: those of the deploy and of deploy.policy',
      },
    },
    about:
      'On a terminal it asks what nobody has answered yet, one question after the other, then whether the release is accepted; each answer is kept at once. Without a terminal answers come with --answer and the decision with --accept or --reject. A question about the appliance is asked once, one about a release once for each; some are asked again when the answer has grown old. Kept are who answered, when and from where, as with approve. Where the policy says so, another person than the deployer signs off. --yes answers nothing here.',
    examples: [
      'appliance signoff v1.0',
      'appliance signoff v1.0 --questions',
      'appliance signoff v1.0 --answer S1-2=yes --answer S1-19=no:"no training yet"',
      'appliance signoff v1.0 --accept --comment "training follows on Monday"',
    ],
  },
  report: {
    summary: 'the whole story of a release, from its plan to what is still open',
    group: 'people',
    gate: 'look',
    args: [{ name: 'release', required: true, completes: 'tag', help: 'tag or id of a release' }],
    options: {
      format: {
        value: 'FORMAT',
        choices: ['md', 'html', 'json'],
        help: 'md (default), html (one file that prints well) or json',
      },
      output: { short: 'o', value: 'FILE', help: 'write it there instead of printing it' },
    },
    about:
      'Told from what was written down; nothing is asked of a network, so it works while everything is down. The HTML is one file without scripts and without anything from outside; print it, or save it as PDF. Alerts are those of the agent itself. At its end stands the head of the audit chain.',
    examples: [
      'appliance report v1.0',
      'appliance report v1.0 --format html --output v1.0.html',
      'appliance report v1.0 --format json',
    ],
  },
} as const satisfies Record<string, VerbSpec>;
