import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';

const id = z.string().regex(/^[A-Za-z][\w.-]{0,40}$/, 'use letters, digits, dots and dashes, starting with a letter');
const duration = z
  .string()
  .regex(durationPattern, 'write a duration such as 7d or 12h')
  .transform(parseDuration)
  .refine((value) => value > 0, 'it must be longer than 0s');

/** The name of a role, as it is typed: `tech-lead`. */
const roleSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,40}$/, 'use lower-case letters, digits and dashes, starting with a letter');

const approval = z.strictObject({
  id: id.describe('demand that asks for it'),
  role: roleSchema.describe('name of the role, as it is typed'),
  title: z.string().min(1).max(80).describe('the role, for people'),
});

const question = z.strictObject({
  id: id.describe('demand that it comes from'),
  text: z.string().min(1).max(300).describe('what is asked, so that yes is good'),
  about: z
    .enum(['release', 'appliance'])
    .default('release')
    .describe('release: asked of each; appliance: asked once, whatever release is live'),
  again: duration.optional().describe('asked again when the answer is older; left out: the answer holds'),
});

/** What a policy asks of people: who approves a release, what they are asked, who signs it off. */
export const policyPeople = {
  approvals: z.array(approval).default([]).describe('roles in which people approve a release, each another person'),
  questions: z.array(question).default([]).describe('what only people can tell; asked by appliance signoff'),
  signOff: z
    .strictObject({
      id: id.describe('demand that asks for it'),
      by: z
        .enum(['another', 'anybody'])
        .default('another')
        .describe('another: not the person who deployed the release; anybody: whoever may operate it'),
    })
    .optional()
    .describe('how a release is signed off after its deploy; left out: anybody may'),
};

/** Who may approve in which role, by login name. */
export const peopleSchema = z.strictObject({
  roles: z
    .record(
      roleSchema,
      z
        .array(z.string().min(1))
        .min(1)
        .describe('login names of those who may approve in this role; a role that is not named: every operator'),
    )
    .default({}),
});
