// Options and arguments that several verbs take.

import { durationPattern } from '../../lib/units.ts';

export const bake = {
  value: 'DURATION',
  help: 'how long it is watched; default: models.bake of appliance.yaml',
} as const;
export const weight = {
  value: 'SHARE',
  help: 'only this share of the requests, for example 10%, beside the model in force',
} as const;
export const reason = { value: 'TEXT', help: 'why, for the history' } as const;
export const acceptInconclusive = { help: 'go on where a gate cannot say; one that fails still refuses' } as const;
export const wait = {
  value: 'DURATION',
  optional: durationPattern,
  help: 'wait for a running operation to end instead of failing as busy; without a value as long as it takes',
} as const;
export const detach = { help: 'return as soon as the agent has begun; the operation goes on there' } as const;
export const tag = { name: 'tag', required: true, completes: 'tag', help: 'Git tag of the release' } as const;
export const service = { name: 'service', completes: 'service', help: 'a service of the stack' } as const;
export const strategy = {
  value: 'STRATEGY',
  choices: ['blue-green', 'canary', 'recreate'],
  help: 'how to bring it up: all at once, by the stages of a policy, or with a downtime; default: as in appliance.yaml',
} as const;
export const policy = {
  value: 'NAME',
  help: 'stages, gates and rollback triggers to follow; default: deploy.policy of appliance.yaml',
} as const;
export const acceptMovedTag = {
  help: 'go on although the tag names another commit than the release made from it',
} as const;

export const comment = { value: 'TEXT', help: 'why; stands in the audit and beside the alert' } as const;
