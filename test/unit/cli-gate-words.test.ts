import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { splitWords } from '../../src/cli/gate/words.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { random } from '../support/random.ts';

const refusal = (text: string): ApplianceError => {
  try {
    const words = splitWords(text);
    throw new Error(`${JSON.stringify(text)} became ${JSON.stringify(words)}`);
  } catch (error) {
    if (error instanceof ApplianceError) return error;
    throw error;
  }
};

describe('words of a command', () => {
  it.each<[string, string[]]>([
    ['', []],
    ['  status\t--json ', ['status', '--json']],
    ["logs --grep 'a|b; $(id) * # ~'", ['logs', '--grep', 'a|b; $(id) * # ~']],
    ['logs --grep "ERROR|it\'s"', ['logs', '--grep', "ERROR|it's"]],
    ['a"b"\'c\'d', ['abcd']],
    [`'' ""`, ['', '']],
    ['a\\ b \\$HOME \\;', ['a b', '$HOME', ';']],
    ['"\\$HOME \\` \\" \\\\ \\n"', ['$HOME ` " \\ \\n']],
    ['"ERROR$" "a $ b" a$', ['ERROR$', 'a $ b', 'a$']],
    ['v1.0#2 a]b }x =y !', ['v1.0#2', 'a]b', '}x', '=y', '!']],
    ["'two\nlines'", ['two\nlines']],
    ['signoff v1 --answer S1-19=no:"no training yet"', ['signoff', 'v1', '--answer', 'S1-19=no:no training yet']],
  ])('%j', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  it.each([
    'status; id',
    'status | sh',
    'status && id',
    'status &',
    'status > /tmp/x',
    'status < /etc/shadow',
    'status $(id)',
    'status "$(id)"',
    'status `id`',
    'status "`id`"',
    'status $HOME',
    'status "${HOME"',
    'status $1 ',
    "status $'a'",
    'status $"a"',
    'status $[1+1]',
    'ls *',
    'ls a?',
    'ls [ab]',
    'ls {a,b}',
    'ls ~',
    'ls --root=~root',
    '(status)',
    'status # comment',
    '# comment',
    'status\nid',
    'status \\\nid',
    '"status \\\nid"',
  ])('refuses %j, on which a shell would act', (text) => {
    expect(refusal(text)).toMatchObject({ code: 'not_permitted', exit: 7, left: 'nothing was run' });
    expect(refusal(text).message).toContain('there is no shell here');
  });

  it.each(["status '", 'status "a', 'status "a\\"', 'status \\'])('refuses %j, which is not whole', (text) => {
    expect(refusal(text)).toMatchObject({ code: 'not_permitted' });
    expect(refusal(text).message).toContain('not whole');
  });
});

const alphabet = [...'ab=-.:,%@^+/!] \t\'"\\$`;|&<>()*?[{}~#\n', ' ', ' ', "'", '"', '\\', 'ü'];

/** Texts of a random length, the same in every run. */
function texts(amount: number, signs: readonly string[], seed: number): string[] {
  const next = random(seed);
  const one = () => signs[Math.floor(next() * signs.length)] ?? '';
  return Array.from({ length: amount }, () => Array.from({ length: 1 + Math.floor(next() * 12) }, one).join(''));
}

describe('whatever is asked for', () => {
  it.each(['dash', 'bash'])('what is understood is what %s understands', (shell) => {
    const understood = texts(40_000, alphabet, 7).flatMap((text) => {
      try {
        return [{ text, words: splitWords(text) }];
      } catch (error) {
        expect(error).toBeInstanceOf(ApplianceError);
        return [];
      }
    });
    expect(understood.length).toBeGreaterThan(3_000);
    const directory = mkdtempSync(join(tmpdir(), 'words-'));
    try {
      // Each word ends with a sign that no text has, each text with another.
      const script = understood
        .map(({ text }) => `set -- ${text}\nfor word do printf '%s\\001' "$word"; done; printf '\\002'\n`)
        .join('');
      const options = { input: script, cwd: directory, encoding: 'utf8', maxBuffer: 2 ** 26 } as const;
      const said = execFileSync(shell, [], options).split('\u0002').slice(0, -1);
      expect(said.map((words) => words.split('\u0001').slice(0, -1))).toEqual(understood.map(({ words }) => words));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('words that were quoted come out as they were', () => {
    const words = texts(5_000, alphabet, 11);
    const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    expect(splitWords(line)).toEqual(words);
  });
});
