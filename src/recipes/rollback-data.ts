import { otherColour } from '../lib/colour.ts';
import type { PlannedStep } from '../operations/step.ts';
import { buildSteps, clearSteps, idleColour, startCore } from './deploy.ts';
import { besideSteps, exchangeSteps, finishStep, keepSteps, type RestoreFacts, type RestoreSteps } from './restore.ts';
import { type RollbackFacts, rollbackPath } from './rollback.ts';
import { shiftSteps } from './shift.ts';
import type { Steps } from './steps.ts';

/** Users get the maintenance page from the first of these to the last. */
export const dataDowntimeSteps = [
  'close-edge',
  'stop-colour',
  'keep-database',
  'replace-database',
  'swap-database',
  'start-colour',
  'wait-healthy',
  'configure-edge',
  'shift-traffic',
];

/**
 * From the current release back to an older one together with the data that it can read (DESIGN §5, S1-65). Pure. What can
 * be done while users are served comes first; then nobody may write until the old release has its data. What is replaced
 * is kept until the old release serves, so a failure takes all of it back.
 */
export function planDataRollback(
  { rollback, restore }: { readonly rollback: RollbackFacts; readonly restore: RestoreFacts },
  steps: Steps & RestoreSteps,
): PlannedStep[] {
  const { release, observed, config } = rollback;
  const { live } = observed;
  if (!live || rollbackPath(rollback) === 'none') return [];
  const warm = rollbackPath(rollback) === 'warm';
  const to = idleColour(observed);
  const { drain } = config.deploy;
  const back = {
    blue: observed.colours.blue.topology,
    green: observed.colours.green.topology,
  };
  const swaps = exchangeSteps(restore, steps).map((step, index) => ({ ...step, pivot: index === 0 }));
  return [
    ...restore.safety,
    ...besideSteps(restore, steps),
    ...(warm
      ? []
      : [
          ...buildSteps(release, config, steps),
          startCore(release, steps),
          ...clearSteps(release, to, observed, config, steps),
        ]),
    steps.closeEdge.plan(
      { back },
      {
        title: 'give every request the maintenance page',
        cause: `${live.tag} must not write into data that it does not know; downtime begins`,
        deadline: 120_000,
      },
    ),
    steps.stopColour.plan(
      { colour: live.colour, graceSeconds: drain / 1_000 },
      { title: `stop ${live.colour} (${live.tag})`, cause: 'it holds the database', deadline: drain + 60_000 },
    ),
    ...keepSteps(restore, steps),
    ...swaps,
    ...(warm
      ? []
      : [
          steps.startColour.plan(
            { release: release.id, colour: to },
            { title: `start ${to} with ${release.tag}`, cause: 'its data are back', deadline: 180_000 },
          ),
        ]),
    ...shiftSteps(
      {
        release,
        to,
        topologies: rollback.topologies,
        observed,
        actor: rollback.actor,
        config,
        closed: otherColour(to),
      },
      steps,
    ),
    finishStep(restore, steps),
  ];
}
