import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { globalOptions } from '../../src/cli/catalog/spec.ts';
import { specOf, verbNames } from '../../src/cli/catalog.ts';
import { completionScript } from '../../src/cli/completion.ts';
import { cliReference, errorReference } from '../../src/cli/reference.ts';
import { errorCodes, exitCodes } from '../../src/lib/errors.ts';

const docs = join(import.meta.dirname, '../../docs');

describe('the reference', () => {
  it('of the command line is what the catalogue says', async () => {
    await expect(cliReference()).toMatchFileSnapshot(join(docs, 'reference/cli.md'));
    for (const name of verbNames) expect(cliReference()).toContain(`\n### ${name}\n`);
  });

  it('of errors is what the registry says', async () => {
    await expect(errorReference()).toMatchFileSnapshot(join(docs, 'reference/errors.md'));
    for (const code of Object.keys(errorCodes)) expect(errorReference()).toContain(`| \`${code}\` |`);
    for (const status of Object.values(exitCodes)) expect(errorReference()).toContain(`| ${status} |`);
  });
});

describe('completion', () => {
  /** What bash would offer for a line, the last word of which is still being typed. */
  const offers = (line: string): string[] => {
    const words = line.split(' ');
    const script = `${completionScript('bash')}
      appliance() { echo "asked-for-$2"; }
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
      _appliance; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const text = execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
    return text.split('\n').filter((word) => word !== '');
  };

  it.each([
    ['appliance de', ['deploy']],
    ['appliance ', expect.arrayContaining(['deploy', 'releases', 'config', 'help'])],
    ['appliance releases ', expect.arrayContaining(['show', 'diff', 'pin', 'unpin', 'prune'])],
    ['appliance --json config c', ['check']],
    ['appliance deploy --de', ['--detach']],
    ['appliance deploy ', ['asked-for-tag']],
    ['appliance logs -f ', ['asked-for-service']],
    ['appliance completion f', ['fish']],
    ['appliance releases show --js', ['--json']],
  ])('%s', (line, expected) => {
    expect(offers(line)).toEqual(expected);
  });

  it('knows every verb and option in every shell', () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const script = completionScript(shell);
      for (const name of verbNames) {
        for (const word of name.split(' ')) expect(script).toContain(word);
        for (const option of Object.keys({ ...globalOptions, ...specOf(name).options })) {
          expect(script).toContain(shell === 'fish' ? `-l ${option}` : `--${option}`);
        }
      }
    }
  });
});
