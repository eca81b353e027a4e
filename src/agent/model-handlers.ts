import { join } from 'node:path';
import type { Handlers } from '../api/handlers.ts';
import type { Actor } from '../api/schema.ts';
import { addVersion } from '../capabilities/models/add.ts';
import { exportVersion } from '../capabilities/models/archive-export.ts';
import { importArchive } from '../capabilities/models/archive-import.ts';
import { ArchiveKeys } from '../capabilities/models/archive-keys.ts';
import { diffVersions } from '../capabilities/models/diff.ts';
import { adoptDirectory, importDirectory } from '../capabilities/models/import.ts';
import { readPointer } from '../capabilities/models/pointer.ts';
import { pruneVersion } from '../capabilities/models/prune.ts';
import type { ModelVersion } from '../capabilities/models/registry.ts';
import { readSplit } from '../capabilities/models/split.ts';
import { isDirectory } from '../capabilities/models/survey.ts';
import { verifyVersion } from '../capabilities/models/verify.ts';
import { loadPolicy } from '../config/policy-load.ts';
import { exists } from '../host/files.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import { combine, type Finding } from '../lib/verdict.ts';
import type { Appliance } from './appliance.ts';
import { historyOf, isInForce, nameOf, type Serving, shapeOf } from './model-shapes.ts';

type Routes =
  | 'models'
  | 'modelsShow'
  | 'modelsAdd'
  | 'modelsVerify'
  | 'modelsRepair'
  | 'modelsHistory'
  | 'modelsDiff'
  | 'modelsArchive'
  | 'modelsImport'
  | 'modelsExport';

/** Versions that a trend shows, and lines of history beside one version. */
const trendLength = 20;
const historyLength = 20;
/** Versions that are verified when none is named. */
const mostVerified = 100;

/** Answers what is asked about models as files and records; what brings them into force is in `model-plans.ts`. */
export function modelHandlers(a: Appliance): Pick<Handlers, Routes> {
  const { models, audit, clock } = a;
  const keys = new ArchiveKeys(join(a.paths.lib, 'model-keys'));
  const serving = async (): Promise<Serving> => ({
    pointer: await readPointer(models.directory),
    split: await readSplit(models.directory),
  });
  const note = (actor: Actor, action: string, target: string | null, result: string) =>
    audit.append(timestamp(clock.now()), actor, action, target, result);
  const requirements = async (name = a.config.deploy.policy ?? a.config.monitoring?.policies?.[0]) =>
    name === undefined ? undefined : (await loadPolicy(name, a.paths.config)).policy.models;

  return {
    models: async ({ before, ...query }) => {
      const registry = models.registry();
      const known = before === undefined ? undefined : registry.find(before).id;
      const now = await serving();
      return registry.page({ ...query, before: known }).map((version) => shapeOf(version, now));
    },
    modelsShow: async ({ version: reference }) => {
      const registry = models.registry();
      const version = registry.find(reference);
      const { features, libraries, algorithm, trainedAt } = version.metadata;
      const until = [version, ...registry.page({ name: version.name, before: version.id, limit: trendLength - 1 })];
      return {
        ...shapeOf(version, await serving()),
        directory: version.directory,
        source: version.source,
        features,
        libraries,
        algorithm,
        trainedAt,
        artefacts: registry.artefacts(version),
        trends: Object.fromEntries(
          Object.keys(version.metrics).map((name) => [
            name,
            until.map(({ metrics }) => metrics[name] ?? null).reverse(),
          ]),
        ),
        approvals: registry.approvals(version).map(({ at, ...rest }) => ({ ...rest, time: timestamp(at) })),
        reports: registry.reports(version).map(({ at, verdict, report }) => ({ time: timestamp(at), verdict, report })),
        history: registry.history({ version: version.id, limit: historyLength }).map(historyOf),
      };
    },
    modelsAdd: async ({ directory, policy }, { actor, signal }) => {
      const { version, added } = await addVersion(models.writable(), {
        source: directory,
        requirements: await requirements(policy),
        change: { actor: actor.user },
        uid: actor.uid,
        signal,
      });
      if (added) note(actor, 'models add', nameOf(version), 'done');
      return { ...shapeOf(version, await serving()), added };
    },
    modelsVerify: async ({ version }, { signal }) => {
      const registry = models.registry();
      const chosen =
        version === undefined
          ? (['production', 'validated'] as const).flatMap((state) => registry.page({ state, limit: mostVerified }))
          : [registry.find(version)];
      const damage = registry.damage();
      const checks: Finding[] =
        damage === null
          ? []
          : [
              {
                id: 'registry',
                verdict: 'fail',
                observed: damage,
                expected: 'a whole database',
                hint: 'restore it from a backup; without one: appliance models verify --repair',
              },
            ];
      for (const one of chosen) checks.push(...(await verifyVersion(one, registry.artefacts(one), signal)));
      return { verdict: combine(checks.map(({ verdict }) => verdict)), checks };
    },
    modelsRepair: async (_, { actor, signal }) => {
      const now = new Date(clock.now());
      const setAside = await models.setAside(now);
      if (setAside !== null) note(actor, 'models repair', setAside, 'set aside');
      const change = { actor: actor.user };
      const { imported, skipped } = await adoptDirectory(models.writable(), { change, signal }, now);
      for (const version of imported) note(actor, 'models import', nameOf(version), 'done');
      a.alerting.resolve('ModelRegistryUnusable');
      a.alerting.resolve('ModelRegistryDisturbed');
      const known = 'it is registered already';
      const place = await serving();
      return {
        setAside,
        imported: imported.map((version) => shapeOf(version, place)),
        skipped: skipped.filter(({ reason }) => reason !== known),
      };
    },
    modelsHistory: async (query) => models.registry().history(query).map(historyOf),
    modelsDiff: async ({ from, to }) => {
      const registry = models.registry();
      const [old, now] = [registry.find(from), registry.find(to)];
      const whole = (version: ModelVersion) => ({ ...version, artefacts: registry.artefacts(version) });
      return { from: nameOf(old), to: nameOf(now), changes: diffVersions(whole(old), whole(now)) };
    },
    modelsArchive: async ({ version: reference, undo, prune }, { actor }) => {
      if (undo && prune) throw new ApplianceError('usage', '--undo and --prune contradict each other');
      const registry = models.writable();
      const version = registry.find(reference);
      const now = await serving();
      if (!undo && isInForce(version, now)) {
        throw new ApplianceError('usage', `${nameOf(version)} is in force`, {
          left: 'nothing was changed',
          hint: 'put another version in force first: appliance models promote VERSION',
        });
      }
      if (!undo && shapeOf(version, now).weight !== null) {
        throw new ApplianceError('usage', `${nameOf(version)} has a share of the requests`, {
          left: 'nothing was changed',
          hint: 'take it away first: appliance models rollback',
        });
      }
      if (undo && !(await exists(version.directory)))
        throw new ApplianceError('usage', `the files of ${nameOf(version)} were removed`, {
          left: 'nothing was changed',
          hint: 'bring them back first, with the same bytes: appliance models add DIRECTORY',
        });
      const change = { actor: actor.user };
      const changed = registry.archive(version, !undo, change);
      note(actor, 'models archive', nameOf(version), undo ? 'undone' : 'done');
      const freed = prune ? await pruneVersion(registry, changed, change) : 0;
      if (freed > 0) note(actor, 'models prune', nameOf(version), `${freed} bytes`);
      return { ...shapeOf(changed, now), freed };
    },
    modelsImport: async ({ path, trust }, { actor, signal }) => {
      const registry = models.writable();
      const change = { actor: actor.user };
      const request = { requirements: await requirements(), change, uid: actor.uid, signal };
      const { imported, skipped } =
        path === undefined
          ? await adoptDirectory(registry, { change, signal }, new Date(clock.now()))
          : (await isDirectory(path))
            ? await importDirectory(registry, { ...request, source: path })
            : await importArchive(registry, keys, { ...request, source: path, trust }).then(({ version, added }) => ({
                imported: added ? [version] : [],
                skipped: added ? [] : [{ path, reason: `${nameOf(version)} is registered already` }],
              }));
      for (const version of imported) note(actor, 'models import', nameOf(version), 'done');
      const now = await serving();
      return { imported: imported.map((version) => shapeOf(version, now)), skipped: [...skipped] };
    },
    modelsExport: async ({ version: reference, path }, { actor, signal }) => {
      const registry = models.writable();
      const version = registry.find(reference);
      const { bytes, key } = await exportVersion(registry, {
        version,
        path,
        keys,
        appliance: a.config.name,
        change: { actor: actor.user },
        uid: actor.uid,
        now: timestamp(clock.now()),
        signal,
      });
      note(actor, 'models export', nameOf(version), `to ${path}`);
      return { name: version.name, version: version.version, path, bytes, key };
    },
  };
}
