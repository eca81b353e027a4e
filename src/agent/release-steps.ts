import { checkHost } from '../capabilities/checks/host.ts';
import { smokeStep } from '../capabilities/checks/smoke/step.ts';
import { requireApprovals } from '../capabilities/people/step.ts';
import { retain } from '../capabilities/releases/retain.ts';
import { createReleaseSteps } from '../capabilities/releases/steps.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import type { CoreStore } from '../capabilities/stack/core-store.ts';
import { bake, type createStackSteps, isBundled } from '../capabilities/stack/index.ts';
import type { createTraffic } from '../capabilities/traffic/index.ts';
import type { RolloutStore } from '../capabilities/traffic/rollout-store.ts';
import type { ShadowReports } from '../capabilities/traffic/shadow/step.ts';
import type { Config } from '../config/schema.ts';
import { composeHands } from '../host/compose.ts';
import type { Engine } from '../host/docker.ts';
import type { Clock } from '../lib/clock.ts';
import type { Paths } from '../lib/paths.ts';
import type { Reports } from '../operations/reports.ts';
import { createResolveStep, type ResolveDeps } from '../recipes/resolve.ts';
import type { Steps } from '../recipes/steps.ts';
import type { Alerting } from './alerting.ts';
import type { Checks } from './checks/index.ts';
import type { Observer } from './observer.ts';
import type { People } from './people.ts';
import { rolloutDeps } from './rollout-analysis.ts';
import type { stackDepsOf } from './stack-deps.ts';
import { SyntheticTraffic } from './synthetic-traffic.ts';

interface ReleaseParts {
  readonly config: Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly store: ReleaseStore;
  readonly core: CoreStore;
  readonly traffic: ReturnType<typeof createTraffic>;
  readonly alerting: Alerting;
  readonly observer: Observer;
  readonly checks: Checks;
  readonly people: People;
  readonly reports: Reports;
  readonly rolloutStore: RolloutStore;
  readonly shadows: ShadowReports;
  readonly stack: ReturnType<typeof createStackSteps>;
  readonly stackDeps: ReturnType<typeof stackDepsOf>;
  readonly resolve: ResolveDeps;
}

/** The steps that deploy, roll out, take back and forget a release, bound to the parts of one appliance. */
export function releaseSteps(parts: ReleaseParts): Steps {
  const { config, paths, clock, engine, store, core, traffic, alerting } = parts;
  const { observer, checks, people, reports, rolloutStore, shadows, stack, stackDeps, resolve } = parts;
  return {
    ...stack,
    bake: bake(stack.waitHealthy),
    ...createReleaseSteps(store),
    adoptCore: core.adoptStep(),
    checkHost: checkHost({
      engine,
      compose: composeHands,
      directory: paths.lib,
      checklists: async ({ tag, policy }, operation, signal) => {
        const seen = await checks.beforeDeploy(tag, policy, signal);
        reports.keep(operation, 'checks', 'before', seen.findings);
        return seen;
      },
    }),
    requireApprovals: requireApprovals({ approvalsOf: (id) => people.approvalsOf(id) }),
    smoke: smokeStep({
      run: (wish, signal) => checks.smoke(wish, signal),
      keep: (operation, through, findings) => reports.keep(operation, 'checks', `smoke ${through}`, findings),
    }),
    resolveRelease: createResolveStep(resolve),
    configureEdge: traffic.configureEdge,
    closeEdge: traffic.closeEdge,
    shiftTraffic: traffic.shiftTraffic,
    ...alerting.steps(),
    ...traffic.rolloutSteps(
      rolloutDeps({
        config,
        engine,
        clock,
        stack: stackDeps,
        store: rolloutStore,
        edge: traffic.meter.read,
        synthetic: new SyntheticTraffic({
          config,
          clock,
          samples: traffic.synthetic,
          topologies: (id) => observer.topologies(id),
          environment: (id) => store.environment(id),
        }),
      }),
      shadows,
    ),
    retain: retain({
      store,
      engine,
      imagePattern: `appliance.local/${config.name}/*`,
      isBundled: (name, tag) => isBundled(name, config.name, tag),
      standings: (ids) => observer.standings(ids),
      limits: config.retention,
    }),
  };
}
