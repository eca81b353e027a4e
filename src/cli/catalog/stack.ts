import { detach, service, wait } from './shared.ts';
import type { VerbSpec } from './spec.ts';

/** Verbs about the running stack. */
export const stackVerbs = {
  status: {
    summary: 'the state of the appliance at a glance',
    group: 'stack',
    gate: 'look',
    about: 'Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive.',
    examples: ['appliance status', 'appliance status --json'],
  },
  up: {
    summary: 'start what should run: core, edge and the live release',
    group: 'stack',
    gate: 'act',
    options: { core: { help: 'the core stack only' }, detach, wait },
  },
  down: {
    summary: 'stop everything; data stays',
    group: 'stack',
    gate: 'act',
    options: { volumes: { help: 'remove the data as well; asks for the name of the appliance' }, detach, wait },
    examples: ['appliance down', 'appliance down --volumes'],
  },
  restart: {
    summary: 'restart one service, or all of the live release',
    group: 'stack',
    gate: 'act',
    args: [service],
    options: { detach, wait },
  },
  ps: { summary: 'list the containers of the stack', group: 'stack', gate: 'look' },
  stats: {
    summary: 'CPU (percent of one core), memory and network of each service',
    group: 'stack',
    gate: 'look',
    options: { follow: { short: 'f', help: 'go on, once a second' } },
  },
  logs: {
    summary: 'what the services write, in one stream',
    group: 'stack',
    gate: 'look',
    args: [{ name: 'service', many: true, completes: 'service', help: 'only these services; default: all' }],
    options: {
      follow: { short: 'f', help: 'go on as new lines come' },
      since: { value: 'TIME', help: 'only lines after an RFC 3339 time, or a duration before now such as 10m' },
      grep: { value: 'PATTERN', help: 'only lines that match this JavaScript regular expression' },
      tail: {
        short: 'n',
        value: 'LINES',
        help: 'so many lines per container from the end; default: 200, with --grep or --since all; "all" for all',
      },
      timestamps: { short: 't', help: 'begin each line with its time' },
    },
    examples: ['appliance logs -f backend', 'appliance logs --since 10m --grep "ERROR|timeout"'],
  },
  exec: {
    summary: 'run a command inside a service of the live release',
    group: 'stack',
    gate: 'named',
    args: [
      { name: 'service', required: true, completes: 'service', help: 'a service of the stack' },
      { name: 'command', many: true, help: 'program and arguments; default: a shell' },
    ],
    passThrough: true,
    about: 'The exit status is that of the command.',
    examples: ['appliance exec backend', 'appliance exec backend -- python3 -V'],
  },
} as const satisfies Record<string, VerbSpec>;
