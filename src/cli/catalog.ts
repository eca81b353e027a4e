/**
 * Every verb of the command line, as data. Parsing, help, shell completion and `docs/reference/cli.md` are all derived
 * from this table, and the types of what a verb receives are too: a verb cannot read an option that is not listed here.
 */
export interface OptionSpec {
  readonly short?: string;
  /** Name of the value; an option without one is a switch. */
  readonly value?: string;
  /** The value may be left out: `--wait` as well as `--wait 5m`. */
  readonly optional?: true;
  readonly choices?: readonly string[];
  readonly help: string;
}

export interface ArgumentSpec {
  readonly name: string;
  readonly required?: true;
  readonly many?: true;
  /** What a shell completes here. */
  readonly completes?: 'service' | 'tag' | 'shell' | 'verb';
  readonly help: string;
}

export interface VerbSpec {
  readonly summary: string;
  readonly group: Group;
  readonly args?: readonly ArgumentSpec[];
  readonly options?: Readonly<Record<string, OptionSpec>>;
  /** Everything after the first argument belongs to another program. */
  readonly passThrough?: true;
  /** A paragraph for `--help` and the reference. */
  readonly about?: string;
  readonly examples?: readonly string[];
}

export const groups = {
  releases: 'Releases',
  stack: 'The stack',
  alerts: 'Alerts',
  models: 'Models',
  appliance: 'The appliance',
} as const;
export type Group = keyof typeof groups;

/** Accepted before and after every verb. */
export const globalOptions = {
  json: { help: 'print exactly one JSON document (one per line for streams), errors included' },
  yes: { short: 'y', help: 'answer every question with yes' },
  root: { value: 'DIR', help: 'use the appliance whose files all live under DIR (same as APPLIANCE_ROOT)' },
  'no-color': { help: 'no colours (also with NO_COLOR, with TERM=dumb and when the output is no terminal)' },
  quiet: { short: 'q', help: 'no progress; results and errors only' },
  verbose: { short: 'v', help: 'more detail, among it what each step reports' },
  timeout: { value: 'DURATION', help: 'give up after so long, for example 30s or 5m' },
  help: { short: 'h', help: 'explain the command' },
  version: { short: 'V', help: 'print the version' },
} as const satisfies Record<string, OptionSpec>;

const bake = { value: 'DURATION', help: 'how long it is watched; default: models.bake of appliance.yaml' } as const;
const reason = { value: 'TEXT', help: 'why, for the history' } as const;
const acceptInconclusive = { help: 'go on where a gate cannot say; one that fails still refuses' } as const;
const wait = {
  value: 'DURATION',
  optional: true,
  help: 'wait for a running operation to end instead of failing as busy; without a value as long as it takes',
} as const;
const detach = { help: 'return as soon as the agent has begun; the operation goes on there' } as const;
const tag = { name: 'tag', required: true, completes: 'tag', help: 'Git tag of the release' } as const;
const service = { name: 'service', completes: 'service', help: 'a service of the stack' } as const;
const strategy = {
  value: 'STRATEGY',
  choices: ['blue-green', 'canary', 'recreate'],
  help: 'how to bring it up: all at once, by the stages of a policy, or with a downtime; default: as in appliance.yaml',
} as const;
const policy = {
  value: 'NAME',
  help: 'stages, gates and rollback triggers to follow; default: deploy.policy of appliance.yaml',
} as const;
const acceptMovedTag = { help: 'go on although the tag names another commit than the release made from it' } as const;

const comment = { value: 'TEXT', help: 'why; stands in the audit and beside the alert' } as const;

export const catalog = {
  deploy: {
    summary: 'bring a version into service without dropping a request',
    group: 'releases',
    args: [tag],
    options: { policy, strategy, 'accept-moved-tag': acceptMovedTag, detach, wait },
    about:
      'Builds or loads the images, starts the idle colour, waits until it is proven healthy and shifts the traffic. A failure before the shift leaves production untouched, a failure after it shifts back. The last line says what happened and how long it took. Ctrl-C detaches: an agent goes on; without an agent the operation is taken back. With a policy, traffic rises in stages; each is held for its time and passes only when its gates do. A trigger takes the release back at once (exit status 1); a stage that stays inconclusive beyond its patience does too (exit status 4). A rollout survives a restart of the agent.',
    examples: [
      'appliance deploy v1.0',
      'appliance deploy v1.0 --policy flash',
      'appliance deploy v1.0 --wait 10m',
      'appliance deploy v1.0 --json',
    ],
  },
  plan: {
    summary: 'show what a deploy would do and change nothing',
    group: 'releases',
    args: [tag],
    options: { policy, strategy, 'accept-moved-tag': acceptMovedTag },
    about: 'Prints what changes (images, environment keys, topology, schema), the steps, predicted time and downtime.',
    examples: ['appliance plan v1.0', 'appliance plan v1.0 --policy mlops'],
  },
  pause: {
    summary: 'hold a running rollout at the share it has',
    group: 'releases',
    about:
      'Nothing rises until resume or promote; the time of the stage stands still. Its triggers still take it back.',
  },
  resume: { summary: 'let a paused rollout go on', group: 'releases' },
  promote: {
    summary: 'pass the stage that a rollout is in, whatever its gates say',
    group: 'releases',
    options: { all: { help: 'pass every stage that is left, the watch after the shift included' } },
    about: 'For a stage that lacks samples, or a gate that a person can judge better. A trigger that fires still wins.',
  },
  abort: {
    summary: 'take a running rollout, or a deploy before its first request, back at once',
    group: 'releases',
    options: { detach },
    about:
      'All traffic goes to the release before it within a second; then that release is proven healthy. Works without an agent too, when one died in the middle of a rollout.',
  },
  rollback: {
    summary: 'go back to an earlier version, in about a second while it is warm',
    group: 'releases',
    args: [{ name: 'tag', completes: 'tag', help: 'release to go back to; default: the one before the live one' }],
    options: {
      plan: { help: 'show the steps and change nothing' },
      detach,
      wait,
    },
    about:
      'Restores the whole release: images, environment, topology. Refuses when the old release cannot read the schema of the database, and says both numbers.',
    examples: ['appliance rollback', 'appliance rollback v0.9 --plan', 'appliance rollback v0.9'],
  },
  releases: {
    summary: 'list the releases: what is live, warm, kept or gone',
    group: 'releases',
    examples: ['appliance releases', 'appliance releases --json'],
  },
  'releases show': {
    summary: 'everything about one release: digests, services, environment keys, history',
    group: 'releases',
    args: [tag],
  },
  'releases diff': {
    summary: 'what differs between two releases',
    group: 'releases',
    args: [
      { name: 'from', required: true, completes: 'tag', help: 'the one release' },
      { name: 'to', required: true, completes: 'tag', help: 'the other release' },
    ],
    examples: ['appliance releases diff v0.9 v1.0'],
  },
  'releases pin': { summary: 'keep the images of a release whatever retention says', group: 'releases', args: [tag] },
  'releases unpin': { summary: 'let retention decide about a release again', group: 'releases', args: [tag] },
  'releases prune': {
    summary: 'remove the images that retention no longer keeps',
    group: 'releases',
    options: { wait },
    about: 'Never touches releases that are live, warm or pinned.',
  },
  follow: {
    summary: 'follow a running operation to its end',
    group: 'releases',
    args: [{ name: 'operation', help: 'its id; default: the one that runs now' }],
    about: 'Ends with the exit status of the operation. Ctrl-C stops following, never the operation.',
  },
  operations: { summary: 'list past operations, the newest first', group: 'releases' },
  status: {
    summary: 'the state of the appliance at a glance',
    group: 'stack',
    about: 'Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive.',
    examples: ['appliance status', 'appliance status --json'],
  },
  up: {
    summary: 'start what should run: core, edge and the live release',
    group: 'stack',
    options: { core: { help: 'the core stack only' }, detach, wait },
  },
  down: {
    summary: 'stop everything; data stays',
    group: 'stack',
    options: { volumes: { help: 'remove the data as well; asks for the name of the appliance' }, detach, wait },
    examples: ['appliance down', 'appliance down --volumes'],
  },
  restart: {
    summary: 'restart one service, or all of the live release',
    group: 'stack',
    args: [service],
    options: { detach, wait },
  },
  ps: { summary: 'list the containers of the stack', group: 'stack' },
  stats: {
    summary: 'CPU (percent of one core), memory and network of each service',
    group: 'stack',
    options: { follow: { short: 'f', help: 'go on, once a second' } },
  },
  logs: {
    summary: 'what the services write, in one stream',
    group: 'stack',
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
    args: [
      { name: 'service', required: true, completes: 'service', help: 'a service of the stack' },
      { name: 'command', many: true, help: 'program and arguments; default: a shell' },
    ],
    passThrough: true,
    about: 'The exit status is that of the command.',
    examples: ['appliance exec backend', 'appliance exec backend -- python3 -V'],
  },
  init: {
    summary: 'write appliance.yaml for an existing Compose project',
    group: 'appliance',
    options: {
      from: { value: 'PATH', help: 'Compose file to read, or the directory that has one; default: here' },
      force: { help: 'replace an appliance.yaml that exists' },
      print: { help: 'print the file instead of writing it' },
    },
    about: 'Explains each choice in the file it writes.',
    examples: ['appliance init --from compose.yaml'],
  },
  'config check': {
    summary: 'check appliance.yaml, with line and column of each mistake',
    group: 'appliance',
    args: [{ name: 'file', help: 'default: the one of this appliance' }],
  },
  'config show': {
    summary: 'the effective values, with every default filled in and secrets masked',
    group: 'appliance',
  },
  'config schema': { summary: 'the JSON Schema of appliance.yaml, for editors', group: 'appliance' },
  'config policies': {
    summary: 'the policies that a deploy can name, with the mistakes of your own',
    group: 'appliance',
    about: 'Your own lie beside appliance.yaml, as policies/NAME.yaml.',
  },
  'models list': {
    summary: 'list registered versions, the newest first',
    group: 'models',
    args: [{ name: 'name', help: 'only versions of this model' }],
    options: {
      state: { value: 'STATE', choices: ['registered', 'validated', 'production', 'archived'], help: 'only these' },
      limit: { short: 'n', value: 'COUNT', help: 'so many; default: 50' },
      before: { value: 'VERSION', help: 'only those that were registered before this one: the next page' },
    },
    examples: ['appliance models list', 'appliance models list --state production --json'],
  },
  'models show': {
    summary: 'all about one version: files, metrics and their course, features, history',
    group: 'models',
    args: [{ name: 'version', help: 'VERSION, NAME@VERSION or an alias; default: production' }],
    examples: ['appliance models show', 'appliance models show latest'],
  },
  'models add': {
    summary: 'register a directory as a version that never changes again',
    group: 'models',
    args: [{ name: 'directory', required: true, help: 'directory on this host with manifest.json and the files' }],
    options: { policy: { value: 'NAME', help: 'whose required files it must have; default: the policy of deploys' } },
    about:
      'Copies the files, hashes them meanwhile, compares them with the manifest and registers all of it or nothing. Name and version stand in the manifest. The same bytes again change nothing; a label that is used is refused for other bytes.',
    examples: ['appliance models add ./candidate'],
  },
  'models verify': {
    summary: 'read the files of a version and compare them with what was registered',
    group: 'models',
    args: [{ name: 'version', help: 'default: every version in production or validated' }],
    about: 'Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive.',
  },
  'models history': {
    summary: 'who was production when, and who registered, refused or archived what',
    group: 'models',
    args: [{ name: 'name', help: 'only this model' }],
    options: { limit: { short: 'n', value: 'COUNT', help: 'so many of the newest entries; default: 50' } },
  },
  'models diff': {
    summary: 'what differs between two versions: metrics, features, libraries, files, sizes',
    group: 'models',
    args: [
      { name: 'from', required: true, help: 'the one version' },
      { name: 'to', required: true, help: 'the other version' },
    ],
    examples: ['appliance models diff production latest'],
  },
  'models archive': {
    summary: 'take a version out of what may be promoted; its files stay',
    group: 'models',
    args: [{ name: 'version', required: true, help: 'VERSION, NAME@VERSION or an alias' }],
    options: { undo: { help: 'take it back in' } },
  },
  'models import': {
    summary: 'register a signed archive, directories, or what is in the models directory',
    group: 'models',
    args: [{ name: 'path', help: 'archive or directory; default: the models directory itself' }],
    options: { trust: { value: 'FINGERPRINT', help: 'trust this key from now on; the export printed it' } },
    about:
      'Of an archive, signature and hashes are proven before anything is unpacked. Of a directory, every version in it or up to two levels below is taken. Without a path, the files that a release brought along become a version, and so do versions that a lost registry had known.',
    examples: ['appliance models import', 'appliance models import ./routing-similarity-2026.2.tar'],
  },
  'models export': {
    summary: 'write one version as a signed archive, for a host without internet',
    group: 'models',
    args: [
      { name: 'version', required: true, help: 'VERSION, NAME@VERSION or an alias' },
      { name: 'file', help: 'default: NAME-VERSION.tar here' },
    ],
    examples: ['appliance models export 2026.2'],
  },
  'models promote': {
    summary: 'test a version against its gates, put it in force and watch it',
    group: 'models',
    args: [{ name: 'version', required: true, help: 'VERSION, NAME@VERSION or an alias such as latest' }],
    options: { bake, reason, 'accept-inconclusive': acceptInconclusive, detach, wait },
    about:
      'Gates: hashes, a scan of its files, its libraries, a trial in a container of the live image, and the limits of the policy. Then one rename, and the running processes must report that they have loaded it. What fails afterwards takes it back.',
    examples: ['appliance models promote 2026.2', 'appliance models promote latest --bake 10m'],
  },
  'models rollback': {
    summary: 'put an earlier version in force again',
    group: 'models',
    args: [{ name: 'version', help: 'the version to go back to; default: the one before the one in force' }],
    options: { reason, detach, wait },
    about: 'No gates: it has passed them once. The running processes must report that they have loaded it.',
    examples: ['appliance models rollback', 'appliance models rollback 2026.1 --reason "worse on brass"'],
  },
  'models retrain': {
    summary: 'let the application train, and promote what comes out if it is better',
    group: 'models',
    options: { bake, reason, 'accept-inconclusive': acceptInconclusive, detach, wait },
    about:
      'What comes out is registered in any case. It is promoted, through all gates, only if its accuracy is higher.',
  },
  'models scan': {
    summary: 'look into model files as an unpickler would, without loading anything',
    group: 'models',
    args: [{ name: 'target', required: true, help: 'a registered version, or a directory' }],
    about:
      'Fails closed: what is not known to hold data alone is refused, also inside of archives and compressed files. Exit status 0 or 3.',
    examples: ['appliance models scan 2026.2', 'appliance models scan ./candidate'],
  },
  alerts: {
    summary: 'what fires, who is on call, what is silenced',
    group: 'alerts',
    about:
      "From Alertmanager and from the agent itself. Where no Alertmanager runs or answers, the agent's own alerts are shown.",
    examples: ['appliance alerts', 'appliance alerts --json'],
  },
  'alerts list': { summary: 'the same as alerts', group: 'alerts' },
  'alerts test': {
    summary: 'send a test alert through every receiver and prove that it is accepted',
    group: 'alerts',
    args: [{ name: 'receiver', many: true, help: 'only these receivers; default: all' }],
    about:
      "Goes by Alertmanager's own counters of deliveries: a wrong password or a server that refuses is a fail. Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive.",
    examples: ['appliance alerts test', 'appliance alerts test mail'],
  },
  'alerts drill': {
    summary: 'stop a service, prove that somebody is told within a minute, start it again',
    group: 'alerts',
    args: [{ name: 'service', completes: 'service', help: 'an app service; default: the one of the first route' }],
    options: { detach, wait },
    about:
      'Users get errors while it runs; asks for the name of the service. The latency of each receiver is measured from the stop. The service is started again whatever happens, also when the agent is killed. Exit status 3 when nobody was told in time.',
    examples: ['appliance alerts drill backend', 'appliance alerts drill backend --yes --json'],
  },
  'alerts silence': {
    summary: 'keep alerts with given labels from being told',
    group: 'alerts',
    args: [{ name: 'matcher', many: true, help: 'LABEL=VALUE, also !=, =~ and !~; all must match' }],
    options: { for: { value: 'DURATION', help: 'for how long; default: 1h' }, comment },
    examples: ['appliance alerts silence service=backend --for 30m --comment "disk is being replaced"'],
  },
  'alerts unsilence': {
    summary: 'end a silence or an acknowledgement',
    group: 'alerts',
    args: [{ name: 'silence', required: true, help: 'its id, or the first digits of it' }],
  },
  'alerts raise': {
    summary: 'tell of what only a person can see: an incident, complaints',
    group: 'alerts',
    args: [{ name: 'condition', required: true, help: 'its id in a policy (byHand); config policies lists them' }],
    options: { comment },
    about:
      'It goes the way of every other alert and fires until alerts resolve. With an action that is a rollback it says how to go back; it does not do so by itself.',
    examples: ['appliance alerts raise S4-31 --comment "tokens in a public paste"'],
  },
  'alerts resolve': {
    summary: 'say that what somebody has raised is over',
    group: 'alerts',
    args: [{ name: 'condition', required: true, help: 'the id that it was raised by' }],
    examples: ['appliance alerts resolve S4-31'],
  },
  'alerts ack': {
    summary: 'say that you look after an alert: it is neither repeated nor escalated',
    group: 'alerts',
    args: [{ name: 'alert', required: true, help: 'its id, the first digits of it, or its name' }],
    options: { for: { value: 'DURATION', help: 'for how long; default: 4h' }, comment },
    examples: ['appliance alerts ack BackendDown --comment "on it"'],
  },
  check: {
    summary: 'work through checklists: pass, fail or inconclusive, with what was seen',
    group: 'appliance',
    args: [{ name: 'group', help: 'preflight, config, smoke, load, security or all; default: all' }],
    options: {
      policy: {
        value: 'NAME',
        help: 'whose demands are asked; default: the policy of deploys, or the one monitored by',
      },
      tag: { value: 'TAG', help: 'the release that it is about; default: the live one' },
      on: { value: 'WHERE', choices: ['edge', 'blue', 'green'], help: 'where requests are sent; default: edge' },
    },
    about:
      'preflight: whether the host can take a release, before a first deploy too. config: secrets, settings, files and the source. smoke: sequences of requests, through the edge or straight to a colour, tables and schema of the database. load: what the policy asks for, with its thresholds; ramps only when load is asked for by itself. security: headers, TLS, rate limit, open ports, rights of containers, vulnerabilities where a scanner is installed. Checks run side by side, each with a deadline; one that cannot look is inconclusive. Needs no agent; with one, the verdicts are kept and stand in its metrics. Exit status 0, 3 or 4.',
    examples: [
      'appliance check',
      'appliance check preflight --tag v1.0',
      'appliance check config --policy flash --json',
      'appliance check smoke --on green',
    ],
  },
  audit: {
    summary: 'who did what, when and from where',
    group: 'appliance',
    options: {
      since: { value: 'TIME', help: 'only entries after an RFC 3339 time, or a duration before now such as 7d' },
      limit: { short: 'n', value: 'COUNT', help: 'so many of the newest entries; default: 200' },
    },
  },
  'audit verify': {
    summary: 'prove that the audit log is complete and unchanged',
    group: 'appliance',
    about: 'Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive.',
  },
  agent: {
    summary: 'say whether the agent is running, or run it',
    group: 'appliance',
    options: {
      foreground: { help: 'be the agent, in the foreground; systemd or the supervisor looks after the rest' },
    },
    about:
      'Exit status 8 when none is running. With --foreground it refuses to start beside another agent of the same appliance.',
  },
  version: { summary: 'the version of this program, and of the agent if one answers', group: 'appliance' },
  completion: {
    summary: 'print a completion script for a shell',
    group: 'appliance',
    args: [{ name: 'shell', required: true, completes: 'shell', help: 'bash, zsh or fish' }],
    examples: [
      'source <(appliance completion bash)',
      'appliance completion fish > ~/.config/fish/completions/appliance.fish',
    ],
  },
  help: {
    summary: 'explain a verb',
    group: 'appliance',
    args: [{ name: 'verb', many: true, completes: 'verb', help: 'the verb to explain' }],
  },
} as const satisfies Record<string, VerbSpec>;

export type VerbName = keyof typeof catalog;

/** The entry of a verb with all its optional parts, for code that treats every verb alike. */
export function specOf(name: VerbName): VerbSpec {
  return catalog[name];
}

export const verbNames = Object.keys(catalog).filter((name): name is VerbName => name in catalog);

type OptionsOf<Name extends VerbName> = (typeof catalog)[Name] extends {
  readonly options: infer Options extends Readonly<Record<string, OptionSpec>>;
}
  ? Options
  : Record<never, never>;
type OptionValue<Spec> = Spec extends { readonly value: string }
  ? Spec extends { readonly optional: true }
    ? string | true | undefined
    : string | undefined
  : boolean;
type ArgsOf<Name extends VerbName> = (typeof catalog)[Name] extends {
  readonly args: infer Args extends readonly ArgumentSpec[];
}
  ? Args[number]
  : never;
type ArgumentValue<Spec> = Spec extends { readonly many: true }
  ? readonly string[]
  : Spec extends { readonly required: true }
    ? string
    : string | undefined;

/** What one verb was called with. */
export interface Call<Name extends VerbName> {
  readonly options: { readonly [Key in keyof OptionsOf<Name>]: OptionValue<OptionsOf<Name>[Key]> };
  readonly args: { readonly [Spec in ArgsOf<Name> as Spec['name']]: ArgumentValue<Spec> };
}

export interface Globals {
  readonly json: boolean;
  readonly yes: boolean;
  /** `--root`, or APPLIANCE_ROOT, or undefined on a host-wide installation. */
  readonly root: string | undefined;
  readonly color: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Milliseconds. */
  readonly timeout: number | undefined;
}
