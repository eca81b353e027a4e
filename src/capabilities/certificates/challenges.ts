import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChallengeType } from '../../config/certificates.ts';
import { ensureDirectory, writeFileAtomic } from '../../host/files.ts';
import { run } from '../../host/process.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import type { Answer } from './order-state.ts';

/** Puts an answer where an authority looks for it, and takes it away. Both may be done twice. */
export interface Responder {
  present(answer: Answer, signal: AbortSignal): Promise<void>;
  remove(answer: Answer, signal: AbortSignal): Promise<void>;
}

/**
 * HTTP-01 (RFC 8555 §8.3): a file that the edge serves on port 80.
 * @param directory what the edge serves below /.well-known/acme-challenge/
 */
export function httpResponder(directory: string): Responder {
  return {
    present: async ({ token, value }) => {
      await ensureDirectory(directory);
      await writeFileAtomic(join(directory, token), value, 0o644);
    },
    remove: async ({ token }) => rm(join(directory, token), { force: true }),
  };
}

/**
 * DNS-01 (RFC 8555 §8.4): a program of the operator adds and removes a TXT record. It is run without a shell, with
 * `present` or `cleanup` as its only argument and what it needs in the environment; it ends when the record can be seen.
 * @param timeout milliseconds
 */
export function dnsResponder(hook: string, timeout: number): Responder {
  const call = async (what: 'present' | 'cleanup', { name, value }: Answer, signal: AbortSignal): Promise<void> => {
    await assertOwn(hook);
    const domain = name.replace(/^\*\./, '');
    const env = { ACME_DOMAIN: domain, ACME_RECORD: `_acme-challenge.${domain}`, ACME_VALUE: value };
    let why: string;
    try {
      const { exitCode, stderr } = await run(hook, [what], {
        env,
        signal,
        timeout,
        ownGroup: true,
        maxOutput: 64 * 1024,
      });
      if (exitCode === 0) return;
      why = `it ended with ${exitCode}: ${lastLine(stderr)}`;
    } catch (error) {
      signal.throwIfAborted();
      why = messageOf(error);
    }
    throw new ApplianceError('certificate_refused', `the DNS hook could not ${what} ${env.ACME_RECORD}: ${why}`, {
      left: 'no validation was asked for',
      hint: `try it by hand: ACME_DOMAIN=${domain} ACME_RECORD=${env.ACME_RECORD} ACME_VALUE=test ${hook} ${what}`,
    });
  };
  return {
    present: (answer, signal) => call('present', answer, signal),
    remove: (answer, signal) => call('cleanup', answer, signal),
  };
}

/**
 * Who answers which challenge.
 * @param directory see `httpResponder`
 * @throws ApplianceError `config_invalid` for dns-01 without a program; the function that is returned throws it
 */
export function responders(
  { hook, hookTimeout }: { readonly hook?: string | undefined; readonly hookTimeout: number },
  directory: string,
): (challenge: ChallengeType) => Responder {
  return (challenge) => {
    if (challenge === 'http-01') return httpResponder(directory);
    if (hook !== undefined) return dnsResponder(hook, hookTimeout);
    throw new ApplianceError('config_invalid', 'dns-01 needs a program: certificates.acme.hook', {
      left: 'no attempt was spent',
      hint: 'docs/guide/certificates.md says what it is given',
    });
  };
}

/** Takes answers away. What cannot be taken away now does not keep a certificate back. */
export async function withdraw(
  answers: readonly Answer[],
  { responder, progress }: { readonly responder: Responder; readonly progress: (text: string) => void },
  signal: AbortSignal,
): Promise<void> {
  for (const answer of answers) {
    try {
      await responder.remove(answer, signal);
    } catch (error) {
      signal.throwIfAborted();
      progress(`not taken away for ${answer.name}: ${messageOf(error)}`);
    }
  }
}

/** Whoever can write the hook acts as this process. @throws ApplianceError `config_missing`, `config_invalid` */
async function assertOwn(hook: string): Promise<void> {
  const found = await stat(hook).catch(() => undefined);
  if (!found)
    throw new ApplianceError('config_missing', `there is no ${hook}`, {
      left: 'no attempt was spent',
      hint: 'certificates.acme.hook in appliance.yaml names it',
    });
  const uid = process.getuid?.() ?? found.uid;
  if ((found.uid === uid || found.uid === 0) && (found.mode & 0o022) === 0 && (found.mode & 0o100) !== 0) return;
  throw new ApplianceError('config_invalid', `${hook} must be executable, and others must not be able to change it`, {
    left: 'no attempt was spent',
    hint: `chown root ${hook} && chmod 755 ${hook}`,
  });
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.slice(0, 300) || 'it printed nothing';
}
