import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';

/** What people say of a release: approvals, answers, sign-offs. Times are RFC 3339 in UTC. */
const verdict = z.enum(verdicts);
const comment = z.string().max(500).optional();

const said = {
  time: z.string(),
  /** Login name of the person. */
  user: z.string(),
  uid: z.number(),
  /** The account that they acted under. */
  account: z.string(),
  /** Address of the SSH client, when they came that way. */
  ssh: z.string().nullable(),
  comment: z.string().nullable(),
};

const approvalSchema = z.object({
  role: z.string(),
  title: z.string(),
  /** The demand that asks for it. */
  requirement: z.string(),
  /** Login names of those who may give it; null: every operator. */
  holders: z.array(z.string()).nullable(),
  given: z.object(said).nullable(),
});

export const approvalsSchema = z.object({
  release: z.string(),
  /** What is approved: changes with anything that the release is made of. */
  digest: z.string(),
  commit: z.string(),
  policies: z.array(z.string()),
  /** Inconclusive while an approval is missing; pass also where none is asked for. */
  verdict,
  approvals: z.array(approvalSchema),
  /** Everything that was said of this very release, oldest first. */
  history: z.array(z.object({ role: z.string(), given: z.boolean(), ...said })),
});
export type Approvals = z.output<typeof approvalsSchema>;

/** `none`: it does not apply here. */
const answer = z.enum(['yes', 'no', 'none']);

export const signOffSchema = z.object({
  release: z.string(),
  digest: z.string(),
  policies: z.array(z.string()),
  deployed: z.object({ time: z.string(), user: z.string() }),
  questions: z.array(
    z.object({
      id: z.string(),
      text: z.string(),
      about: z.enum(['release', 'appliance']),
      /** After so long it is asked again; null: never. */
      againSeconds: z.number().nullable(),
      /** Without an answer, or with one that is too old. */
      open: z.boolean(),
      answer: z.object({ answer, ...said }).nullable(),
    }),
  ),
  signOff: z.object({
    /** The demand that asks for it; null where none does. */
    requirement: z.string().nullable(),
    by: z.enum(['another', 'anybody']),
    decision: z.object({ accepted: z.boolean(), ...said }).nullable(),
  }),
  verdict,
});
export type SignOffView = z.output<typeof signOffSchema>;

/** The release as a deploy would find it now. */
const release = {
  tag: z.string(),
  /** The policy of the deploy, besides the one that appliance.yaml names. */
  policy: z.string().optional(),
  acceptMovedTag: z.boolean().default(false),
};

export const peopleInputs = {
  approvals: z.object(release),
  approve: z.object({
    ...release,
    role: z.string(),
    /** True takes the approval back. */
    withdraw: z.boolean().default(false),
    /** The digest that the person has looked at, or the beginning of it. */
    digest: z.string().min(8).max(80).optional(),
    comment,
  }),
  questions: z.object({ tag: z.string(), policy: z.string().optional() }),
  signoff: z.object({
    tag: z.string(),
    policy: z.string().optional(),
    answers: z
      .array(z.object({ id: z.string(), answer, comment }))
      .max(200)
      .default([]),
    decision: z.object({ accepted: z.boolean(), comment }).optional(),
  }),
};
