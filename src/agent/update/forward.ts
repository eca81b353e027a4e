import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import semver from 'semver';
import type { Updated } from '../../api/update.ts';
import { run } from '../../host/process.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { type Answer, answering, assertIdle, environment, proven, restart } from './agent-process.ts';
import { settle } from './settle.ts';
import type { Source } from './source.ts';
import { arm } from './trial.ts';
import { answerWithin, note, result, type Update, versionOf } from './update.ts';

/** Milliseconds for the installer: it may fetch packages and build images. */
const installTimeout = 3_600_000;

/**
 * Puts what was brought in force, or leaves what runs.
 * @throws ApplianceError `usage` for an older version, `busy`, `operation_failed`, `manual_intervention`, `interrupted`
 */
export async function goTo(update: Update, source: Source): Promise<Updated> {
  const { options, installation: found } = update;
  const { prefix, runs: from } = found;
  const to = `programs/${source.program}`;
  if (to === from) return result(update, 'nothing', versionOf(update, from), await withThis(update));
  const { version } = versionOf(update, from);
  if (semver.lt(source.version, version) && !options.allowOlder)
    throw new ApplianceError('usage', `${source.version} is older than ${version}, which runs`, {
      left: 'nothing was touched',
      hint: 'for the version that ran before this one: appliance self-update --back; if you mean it: --allow-older',
    });
  if (options.plan) return result(update, 'planned', source, await answering(update), await planOf(update, source));
  await assertIdle(update, options.wait, options.signal);
  options.signal.throwIfAborted();
  await note(update, from, to, 'begun');
  // An installer of another age keeps the newest of the programs that it finds.
  utimesSync(join(prefix, from), new Date(), new Date());
  arm(found, from);
  const failure = await install(update, source);
  const answer = await settle(update, { from, to, failure });
  return result(update, 'done', source, answer);
}

/** The program is the one that was asked for; the agent may be one that was started before it. */
async function withThis(update: Update): Promise<Answer | undefined> {
  const { runs } = update.installation;
  const answer = await answering(update);
  if (!answer || answer.program === runs || update.options.plan) return answer;
  update.options.onProgress('restarting the agent, which runs an older program');
  await restart(update, runs);
  return proven(update, runs, answerWithin);
}

const installerArgs = ({ installation: { prefix }, options: { root } }: Update): string[] => [
  '--prefix',
  prefix,
  ...(root === undefined ? [] : ['--root', root]),
];

/** @throws ApplianceError `operation_failed` where the installer refuses */
async function planOf(update: Update, { directory }: Source): Promise<readonly string[]> {
  const { exitCode, stdout, stderr } = await run(join(directory, 'install.sh'), ['--check', ...installerArgs(update)], {
    timeout: installTimeout,
    signal: update.options.signal,
    env: environment(),
  });
  if (exitCode !== 0)
    throw new ApplianceError('operation_failed', `its installer refuses:\n${stderr.trim()}`, {
      left: 'nothing was touched',
    });
  return stdout.split('\n').flatMap((line) => /^ {2}- (.*)$/.exec(line)?.[1] ?? []);
}

/** Lets the new version install itself. @returns why it could not */
async function install(update: Update, { directory, version }: Source): Promise<string | undefined> {
  const { onProgress, signal } = update.options;
  onProgress(`${version} installs itself`);
  try {
    // In a session of its own: a lost connection does not end it.
    const { exitCode, stderr } = await run('setsid', [join(directory, 'install.sh'), ...installerArgs(update)], {
      timeout: installTimeout,
      signal,
      env: environment(),
      onLine: (line) => {
        if (line.startsWith('[')) onProgress(line.replace(/^\[[^\]]*\] /, ''));
      },
    });
    if (exitCode === 0) return undefined;
    return `its installer ended with status ${exitCode}\n${stderr.trim().split('\n').slice(0, 12).join('\n')}`;
  } catch (error) {
    return signal.aborted ? asApplianceError(signal.reason).message : asApplianceError(error).message;
  }
}
