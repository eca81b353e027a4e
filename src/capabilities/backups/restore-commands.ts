import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Engine } from '../../host/docker.ts';
import { writeFileAtomic } from '../../host/files.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import { defineStep, type StepContext } from '../../operations/step.ts';
import { type DeclaredService, type DrillCommandsDeps, drillCommands, isReady } from './drill-commands.ts';
import { dumpInto, parseRows } from './postgres.ts';
import { keptIn } from './restore-leftovers.ts';
import { stagingOf } from './restore-stage.ts';
import { lostRows } from './rows.ts';

type Schema = z.output<typeof schemaState>;

export interface CommandRestoreDeps {
  /** Directory for what is being restored. */
  readonly directory: string;
  /** A running service with commands of its own. @throws ApplianceError `database_unreachable` where there is none */
  readonly declared: (service: string, signal: AbortSignal) => Promise<DeclaredService>;
  /** Remembers which schema the database has. */
  readonly setSchema: (schema: Schema) => void;
  /** What a server may use in which a dump is tried first. */
  readonly trial: DrillCommandsDeps & { readonly engine: Engine };
}

/** The schema of the databases of an appliance; null where nobody counts it. */
export const schemaState = z.object({ version: z.number(), readableFrom: z.number() }).nullable();

const dumped = z.object({
  service: z.string(),
  /** Dump, relative to the snapshot. */
  path: z.string(),
  /** Rows that it must have; null when nobody has counted them. */
  rows: z.record(z.string(), z.number()).nullable(),
});

/** Milliseconds between two looks at a command that an earlier process has started, and until nobody waits any longer. */
const pause = 250;
const patience = 60_000;

/**
 * Steps for databases that only commands of their own can dump and load. No second database stands beside the one in use, so
 * the dump is tried in a server that is thrown away, what is in use is dumped, and only then replaced; the same command
 * brings back what was there (S1-64).
 */
export function createCommandSteps(deps: CommandRestoreDeps) {
  const { engine, clock, labels, timeout } = deps.trial;
  const before = (operation: string, service: string): string =>
    join(stagingOf(deps.directory, operation), keptIn.databases, service);
  /** Says that the restore command was started, so that what is taken back knows whether anything was changed. */
  const begun = (operation: string, service: string): string => `${before(operation, service)}.begun`;

  /** Two of them at once would mix what they load. One whose process was killed ends when its input does. */
  const alone = async ({ service, container, commands }: DeclaredService, signal: AbortSignal): Promise<void> => {
    const until = clock.monotonic() + patience;
    while (await engine.runsInside(container, commands.restore)) {
      if (clock.monotonic() > until)
        throw new ApplianceError('restore_failed', `a restore command of ${service} is still running`, {
          left: `what ${service} holds is what that command has loaded so far`,
          hint: `let it end, or restart ${service}; then run the command again`,
        });
      await clock.sleep(pause, signal);
    }
  };

  const load = async (declared: DeclaredService, dump: string, signal: AbortSignal): Promise<void> => {
    await alone(declared, signal);
    const { service, container, commands } = declared;
    const request = { argv: commands.restore, file: dump, timeout, signal };
    const { exitCode, stderr } = await engine.execFrom(container, request);
    if (exitCode === 0) return;
    throw new ApplianceError(
      'restore_failed',
      `the restore command of ${service} ended with exit status ${exitCode}: ${stderr.trim().slice(-300) || 'it gave no reason'}`,
      {
        left: `${service} may hold a part of what was loaded`,
        hint: `look at its log: appliance logs ${service}; then run the command again`,
      },
    );
  };

  const removeTrial = async (): Promise<void> => {
    const own = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    for (const { id } of await engine.containers(own)) await engine.remove(id);
  };

  return {
    rehearseDatabase: defineStep({
      action: 'rehearse-database',
      args: dumped,
      async apply({ service, path, rows }, context) {
        const dump = join(stagingOf(deps.directory, context.operation), 'snapshot', path);
        const component = { name: `database:${service}`, path, bytes: 0, sha256: null, ...(rows ? { rows } : {}) };
        const declared = await deps.declared(service, context.signal);
        const found = await drillCommands(declared, component, dump, deps.trial, context);
        if (typeof found === 'string') return `it could not be tried before: ${found}`;
        if (found.verdict === 'pass') return `in a server of its own: ${found.observed}`;
        throw new ApplianceError('restore_failed', `the dump of ${service} does not load: ${found.observed}`, {
          left: 'it was tried in a server of its own; the database in use was not touched',
          hint: found.hint ?? 'choose another snapshot: appliance backup list',
        });
      },
      undo: removeTrial,
    }),

    keepDatabase: defineStep({
      action: 'keep-database',
      args: z.object({
        service: z.string(),
        /** Whether the restore ends here when what is in use cannot be dumped. */
        required: z.boolean(),
      }),
      async apply({ service, required }, context) {
        const { signal, operation } = context;
        const { container, commands } = await deps.declared(service, signal);
        const to = before(operation, service);
        await mkdir(join(to, '..'), { recursive: true, mode: 0o700 });
        const call = { engine, signal, timeout, shell: false };
        const { exitCode, stderr, bytes } = await dumpInto({ container }, commands.dump, `${to}.part`, call);
        if (exitCode === 0 && bytes > 0) {
          await rename(`${to}.part`, to);
          return `${formatBytes(bytes)} are kept until the proof`;
        }
        await rm(`${to}.part`, { force: true });
        const why = exitCode === 0 ? 'its dump command printed nothing' : stderr.trim().slice(-300);
        if (!required) return `what ${service} holds cannot be dumped, so it cannot be brought back: ${why}`;
        throw new ApplianceError('restore_failed', `what ${service} holds now cannot be dumped: ${why}`, {
          left: 'the database in use was not touched',
          hint: `try it: appliance exec ${service} -- ${commands.dump.join(' ')}; --skip-safety does without`,
        });
      },
      async undo({ service }, { operation }) {
        await rm(`${before(operation, service)}.part`, { force: true });
      },
    }),

    replaceDatabase: defineStep({
      action: 'replace-database',
      args: dumped.extend({
        /** Whether the server has just been made, and may not answer yet. */
        fresh: z.boolean(),
        /** Of the database in the snapshot, and of the one in use. */
        schema: schemaState,
        previous: schemaState,
      }),
      async apply({ service, path, fresh, schema }, context) {
        const { signal, operation } = context;
        const declared = await deps.declared(service, signal);
        if (fresh && !(await isReady(declared.container, declared.commands, deps.trial, signal)))
          throw new ApplianceError('restore_failed', `the new server of ${service} does not answer its own commands`, {
            left: 'nothing was loaded into it',
            hint: `look at its log: appliance logs ${service}; then run the command again`,
          });
        await mkdir(join(before(operation, service), '..'), { recursive: true, mode: 0o700 });
        await writeFileAtomic(begun(operation, service), '', 0o600);
        context.progress(`${service}: its restore command runs`);
        await load(declared, join(stagingOf(deps.directory, operation), 'snapshot', path), signal);
        deps.setSchema(schema);
        return `${service} holds what the snapshot has`;
      },
      async verify({ service, rows }, { signal }): Promise<Finding> {
        const id = `rows-${service}`;
        const declared = await deps.declared(service, signal);
        if (!declared.commands.count || !rows)
          return {
            id,
            verdict: 'pass',
            observed: 'its restore command has loaded it; no count command says what is in it',
          };
        const seen = await countDeclared(declared, deps.trial, signal);
        const lost = lostRows(rows, seen);
        const total = Object.values(seen).reduce((sum, one) => sum + one, 0);
        if (lost.length > 0)
          return { id, verdict: 'fail', observed: lost.slice(0, 10).join('; '), expected: 'the rows of the snapshot' };
        const observed = `${count(total, 'row')} in ${count(Object.keys(seen).length, 'table')}; applications may have written since`;
        return { id, verdict: 'pass', observed, samples: total };
      },
      async undo({ service, previous }, context: StepContext) {
        const { operation, signal } = context;
        if (!existsSync(begun(operation, service))) return;
        const kept = before(operation, service);
        if (!existsSync(kept))
          throw new ApplianceError('restore_failed', `what ${service} held was not kept`, {
            left: `${service} holds what its restore command has loaded`,
            hint: `restore ${service} from another snapshot: appliance backup list`,
          });
        await load(await deps.declared(service, signal), kept, signal);
        deps.setSchema(previous);
        await rm(begun(operation, service), { force: true });
      },
    }),
  };
}

/**
 * What the count command of a service tells.
 * @throws ApplianceError `restore_failed`; an empty answer where it declares none
 */
export async function countDeclared(
  { service, container, commands }: DeclaredService,
  { engine, timeout }: { readonly engine: Pick<Engine, 'exec'>; readonly timeout: number },
  signal: AbortSignal,
): Promise<Record<string, number>> {
  if (!commands.count) return {};
  const { exitCode, stdout, stderr } = await engine.exec(container, commands.count, { timeout, signal });
  if (exitCode === 0) return parseRows(stdout);
  throw new ApplianceError('restore_failed', `the count command of ${service} failed: ${stderr.trim().slice(-300)}`, {
    hint: `try it: appliance exec ${service} -- ${commands.count.join(' ')}`,
  });
}
