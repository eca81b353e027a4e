import { readFile, statfs } from 'node:fs/promises';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { composeHands } from '../../src/host/compose.ts';
import { type Row, table } from './row.ts';

/** One benchmark of this directory as it ran. */
export interface Measured {
  readonly rows: readonly Row[];
  /** What is measured and how, as Markdown. */
  readonly about?: string;
}

/** The page that says what was measured, how, and on what kind of machine. Without a date: the repository has it. */
export function report(machine: string, measured: readonly Measured[]): string {
  const abouts = measured.flatMap(({ about }) => (about === undefined ? [] : [about]));
  return `${[
    '# Benchmarks',
    `Written by \`npm run bench -- --write\`, which runs everything in \`test/bench/\`. What stands in "beside it" was measured
in the same run on the same machine; a ratio is ours to the rival's, so above 1 means slower or more, except for
requests per second. Values are medians unless the row says otherwise; a spread is smallest to largest. Single figures
move with the machine; ratios and lost requests should not.`,
    `Measured on: ${machine}.`,
    table(measured.flatMap(({ rows }) => rows)),
    '## How',
    ...abouts,
  ].join('\n\n')}\n`;
}

/** The class of this machine: what makes figures comparable, and nothing that would name it. */
export async function describeMachine(): Promise<string> {
  const processors = cpus();
  const { compose, engine } = await composeHands.version();
  return [
    `${processors.length} cores (${processors[0]?.model.trim() ?? 'unknown'})`,
    `${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
    await filesystem(),
    await distribution(),
    `Linux ${release().split('-')[0]}`,
    `Docker Engine ${engine}`,
    `Compose ${compose}`,
    `Node ${process.version}`,
  ].join(', ');
}

/** Magic numbers of statfs(2) for what one meets on servers. */
const filesystems = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'XFS'],
  [0x9123683e, 'Btrfs'],
  [0x2fc12fc1, 'ZFS'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
]);

async function filesystem(): Promise<string> {
  return filesystems.get((await statfs(tmpdir())).type) ?? 'an unknown file system';
}

async function distribution(): Promise<string> {
  return /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
}
