import { run } from '../../host/process.ts';
import { plainText } from '../../lib/text.ts';
import { type Check, type CheckGroup, fail, pass } from './check.ts';

export interface OwnCommand {
  readonly name: string;
  readonly group: CheckGroup;
  readonly ids: readonly string[];
  readonly run: readonly string[];
  /** Milliseconds. */
  readonly timeout: number;
}

/**
 * Programs of the owner of this appliance: test suites, formatters, whatever ends with 0 when all is well (S0-23, S1-1,
 * S3-1). Never through a shell, and without anything of the environment file.
 * @param directory where they are run
 */
export function commandCheck(
  { name, group, ids, run: [program = '', ...args], timeout }: OwnCommand,
  directory: string,
): Check {
  return {
    id: `${group}.command.${name}`,
    group,
    requirement: ids,
    about: name,
    expected: 'exit status 0',
    hint: `run it by hand: cd ${directory} && ${[program, ...args].join(' ')}`,
    deadline: timeout + 5_000,
    look: async (signal) => {
      const { exitCode, stdout, stderr } = await run(program, args, {
        cwd: directory,
        timeout,
        signal,
        ownGroup: true,
        maxOutput: 4 * 1024 * 1024,
      });
      const last =
        plainText(stderr.trim() === '' ? stdout : stderr)
          .trim()
          .split('\n')
          .at(-1) ?? '';
      return exitCode === 0
        ? pass(plainText(stdout).trim().split('\n').at(-1) || 'exit status 0')
        : fail(`exit status ${exitCode}${last === '' ? '' : `: ${last}`}`);
    },
  };
}
