import { detach, wait } from './shared.ts';
import type { VerbSpec } from './spec.ts';

/** Verbs about the appliance itself. */
export const applianceVerbs = {
  init: {
    summary: 'write appliance.yaml for an existing Compose project',
    group: 'appliance',
    gate: 'named',
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
    gate: 'look',
    args: [{ name: 'file', help: 'default: the one of this appliance' }],
  },
  'config show': {
    summary: 'the effective values, with every default filled in and secrets masked',
    group: 'appliance',
    gate: 'look',
  },
  'config schema': { summary: 'the JSON Schema of appliance.yaml, for editors', group: 'appliance', gate: 'look' },
  'config policies': {
    summary: 'the policies that a deploy can name, with the mistakes of your own',
    group: 'appliance',
    gate: 'look',
    about: 'Your own lie beside appliance.yaml, as policies/NAME.yaml.',
  },
  check: {
    summary: 'work through checklists: pass, fail or inconclusive, with what was seen',
    group: 'appliance',
    gate: 'act',
    args: [{ name: 'group', help: 'preflight, config, smoke, load, security, post-deploy or all; default: all' }],
    options: {
      policy: {
        value: 'NAME',
        help: 'whose demands are asked; default: the policy of deploys, or the one monitored by',
      },
      tag: { value: 'TAG', help: 'the release that it is about; default: the live one' },
      on: { value: 'WHERE', choices: ['edge', 'blue', 'green'], help: 'where requests are sent; default: edge' },
    },
    about:
      'preflight: whether the host can take a release, before a first deploy too. config: secrets, settings, files and the source. smoke: sequences of requests, through the edge or straight to a colour, tables and schema of the database. load: what the policy asks for, with its thresholds; ramps only when load is asked for by itself. security: headers, TLS, rate limit, open ports, rights of containers, vulnerabilities where a scanner is installed. post-deploy: how the live release is since its deploy (memory, exhaustion, logs, certificates, backups, alerts), and by itself also what the looks after an hour, a day and a week have shown, which an agent takes. Checks run side by side, each with a deadline; one that cannot look is inconclusive. Needs no agent; with one, the verdicts are kept and stand in its metrics. Exit status 0, 3 or 4.',
    examples: [
      'appliance check',
      'appliance check preflight --tag v1.0',
      'appliance check config --policy flash --json',
      'appliance check smoke --on green',
      'appliance check post-deploy',
    ],
  },
  doctor: {
    summary: 'what is behind a symptom, with the evidence and what to type',
    group: 'appliance',
    gate: 'look',
    args: [{ name: 'symptom', many: true, help: 'such as 502 or "stale cache"; left out: everything is looked at' }],
    options: {
      fix: { help: 'run the commands marked as safe, look again, and write into the audit what was done' },
      wait,
    },
    about:
      'Symptoms: engine-down, configuration, 502, agent-down, disk, certificate, data-inconsistent, intrusion, backup-missed, alert-silent, stale-cache, metrics-missing, training-failed, training-page, slow, third-party; other words for them are understood. Looks at containers, edge, logs, database, models, certificates, alerting, backups, disk and engine side by side, each look with a deadline, and changes nothing. Each cause has what was seen, how sure it is (certain: seen itself; likely: fits all that was seen; possible: worth a look) and the commands that help. Safe is what brings back what should be there or does now what the clock would do; nothing is lost by it. What could not be looked at is told and never counts as well. Works without an agent, without an engine and with a broken appliance.yaml. Exit status 0, 3 or 4: nothing found, a cause that is certain or likely, or undecided.',
    examples: [
      'appliance doctor',
      'appliance doctor 502',
      'appliance doctor training failed',
      'appliance doctor 502 --fix',
    ],
  },
  'support-bundle': {
    summary: 'pack what helps to find a fault into one archive, without secrets',
    group: 'appliance',
    gate: 'named',
    options: {
      output: { short: 'o', value: 'FILE', help: 'where to write it; default: a new file in this directory' },
    },
    about:
      'A tar.gz of mode 0600 with versions, status, diagnosis, operations, audit, releases, checks, alerts, certificates, backups, configuration, the logs of the agent, the edge and every container, metrics, engine and disk; each part bounded in size (40 MiB in all before it is compressed) and time. Every text is redacted before it reaches a disk: the values of all secrets that this appliance holds, as they are and encoded, and what looks like a secret. report.json in it, and the answer, say what was taken out of which file, and what is missing and why. Works without an agent, beside one that does not answer, without an engine and with a broken appliance.yaml. Look through it before you send it.',
    examples: ['appliance support-bundle', 'appliance support-bundle --output /mnt/usb/support.tar.gz --json'],
  },
  schedule: {
    summary: 'what runs by the clock: when it ran last, how that ended, when it is next',
    group: 'appliance',
    gate: 'look',
    about:
      'WHEN says how often each job runs: backups once a local day, the drill in depth once a week, certificates several times a day, looks after a deploy at their own moments. That holds through every change of the clocks. A run that was missed because the host was off is made up for once; one that failed is tried again after 1, 5, 15, 30 and then every 60 minutes.',
    examples: ['appliance schedule', 'appliance schedule --json'],
  },
  'schedule list': { summary: 'the same as schedule', group: 'appliance', gate: 'look' },
  'schedule run': {
    summary: 'run a job now, as the clock would',
    group: 'appliance',
    gate: 'act',
    args: [{ name: 'job', required: true, help: 'its name; schedule lists them' }],
    options: { detach, wait },
    about: 'A success stands for the run that was due last: what has failed in the night is not tried again then.',
    examples: ['appliance schedule run backup', 'appliance schedule run drill --wait'],
  },
  audit: {
    summary: 'who did what, when and from where',
    group: 'appliance',
    gate: 'look',
    options: {
      since: { value: 'TIME', help: 'only entries after an RFC 3339 time, or a duration before now such as 7d' },
      limit: { short: 'n', value: 'COUNT', help: 'so many of the newest entries; default: 200' },
    },
  },
  'audit verify': {
    summary: 'prove that the audit log is complete and unchanged',
    group: 'appliance',
    gate: 'look',
    options: {
      head: { value: 'SEQ:HASH', help: 'a head of the chain that was noted elsewhere: the log must still contain it' },
    },
    about:
      'From the first entry, through the files that older ones are moved to, to the head that is kept apart in audit.head beside the logs: edited, removed, reordered entries, a missing file and a cut-off end are found. Whoever keeps the head that it prints (or that a report shows) on paper can prove it later with --head, whatever became of this host. Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive.',
  },
  agent: {
    summary: 'say whether the agent is running, or run it',
    group: 'appliance',
    gate: 'never',
    options: {
      foreground: { help: 'be the agent, in the foreground; systemd or the supervisor looks after the rest' },
    },
    about:
      'Exit status 8 when none is running. With --foreground it refuses to start beside another agent of the same appliance.',
  },
  'ssh-gate': {
    summary: 'let an SSH key run listed verbs and nothing else',
    group: 'appliance',
    gate: 'never',
    options: {
      allow: {
        value: 'VERBS',
        many: true,
        help: 'verbs with commas between; the first word of several stands for all of them; default: what changes nothing',
      },
    },
    about:
      'The forced command of a line in authorized_keys. What the caller of ssh asks for is taken apart without a shell: nothing is expanded, and what a shell would act on is refused. A verb on the list may be used with all its options except those that name files of this host; a verb that begins with an allowed word is allowed too (backup: every backup …), unless it runs programs, writes files of the host or hands out a secret, such as exec and backup key: those need their whole name on the list. --root belongs to the line, never to the caller. agent, ssh-gate, uninstall and the screens are always refused. Without --allow the caller may do what changes nothing, as a viewer. A word in --allow that is no verb allows nothing at all (exit status 2). A refusal ends with exit status 7, says what is allowed, and stands in the audit, or in the log of the system while no agent answers.',
    examples: [
      'restrict,command="/usr/local/bin/appliance ssh-gate" ssh-ed25519 AAAA… reader',
      'restrict,command="/usr/local/bin/appliance ssh-gate --allow status,logs,\'backup list\',rollback" ssh-ed25519 AAAA… night shift',
    ],
  },
  uninstall: {
    summary: 'stop the appliance and its stack, and remove the program',
    group: 'appliance',
    gate: 'never',
    options: { purge: { help: 'remove data, volumes and images as well' } },
    about:
      'Asks for the name of the appliance; --yes for scripts. Needs root. Removed are the agent, the containers and networks of the stack, the program, its units and commands. Configuration, state, backups and volumes stay, and a later install.sh takes them up again, unless --purge is given. The Docker Engine and installed packages stay in any case. Refused while an operation or an update runs. It goes on when the connection is lost; cut short in another way, it is simply run again.',
    examples: ['sudo appliance uninstall', 'sudo appliance uninstall --purge', 'sudo appliance uninstall --yes --json'],
  },
  version: {
    summary: 'the version of this program, and of the agent if one answers',
    group: 'appliance',
    gate: 'look',
  },
  'self-update': {
    summary: 'put another version of the appliance in force, or go back to the one before',
    group: 'appliance',
    gate: 'never',
    args: [{ name: 'source', help: 'directory or tar archive of the version, such as appliance-1.2.0.tar.gz' }],
    options: {
      back: { help: 'to the version that ran before this one' },
      plan: { help: 'say what would be done; change nothing' },
      'allow-older': { help: 'go on although the version is older than this one' },
      wait,
    },
    about:
      'Needs root, no internet if the source brings its node_modules. The version that was brought installs itself beside this one, then the agent is restarted. Only when that answers, and goes on to, the update is done; else the version before is put back, with its state, and its agent is started: by this command, or, whatever becomes of it, by the start of the agent itself. Containers and the edge are not touched: requests go on. Refused while an operation runs or a rollout is open (exit status 5). Cut short, it is said again. The state is copied before a newer version changes its tables; --back restores that copy if nothing was written since, else it says what would be lost and how to do it (exit status 9). The same version: nothing to do.',
    examples: [
      'appliance self-update /root/appliance-1.2.0.tar.gz --plan',
      'appliance self-update /root/appliance-1.2.0.tar.gz',
      'appliance self-update --back',
    ],
  },
  completion: {
    summary: 'print a completion script for a shell',
    group: 'appliance',
    gate: 'look',
    args: [{ name: 'shell', required: true, completes: 'shell', help: 'bash, zsh or fish' }],
    examples: [
      'source <(appliance completion bash)',
      'appliance completion fish > ~/.config/fish/completions/appliance.fish',
    ],
  },
  help: {
    summary: 'explain a verb',
    group: 'appliance',
    gate: 'look',
    args: [{ name: 'verb', many: true, completes: 'verb', help: 'the verb to explain' }],
  },
} as const satisfies Record<string, VerbSpec>;
