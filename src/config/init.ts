import { stringify } from 'yaml';
import { ApplianceError } from '../lib/errors.ts';
import {
  type DraftModel,
  type DraftRole,
  type DraftService,
  draftModelSchema,
  guessRole,
  healthUrl,
  portsOf,
} from './guess.ts';

/** Where the Compose project was found. */
export interface DraftSource {
  /** Git repository: a path or a URL. */
  readonly repository: string;
  /** Compose files, relative to the repository. */
  readonly compose: readonly string[];
  /** Absolute path of the environment file, when there is one. */
  readonly envFile?: string | undefined;
}

export interface ConfigDraft {
  /** The YAML text, commented. */
  readonly text: string;
  /** A line for each choice that was made, and why. */
  readonly notes: readonly string[];
}

interface Draft {
  readonly name: string;
  readonly service: DraftService;
  readonly role: DraftRole;
  readonly why: string;
}

/**
 * Drafts an appliance.yaml for a Compose project, with a comment for each choice. The draft passes the schema; whether
 * the guesses are right, a person must say.
 * @param raw the model as `docker compose config --format json` prints it
 * @throws ApplianceError `compose_invalid` when it is no model, or holds nothing that could be deployed
 */
export function initFrom(raw: unknown, source: DraftSource): ConfigDraft {
  const parsed = draftModelSchema.safeParse(raw);
  if (!parsed.success) throw new ApplianceError('compose_invalid', 'the Compose project cannot be understood');
  const drafts = draftServices(parsed.data);
  const apps = drafts.filter(({ role }) => role === 'app');
  if (apps.length === 0) {
    throw new ApplianceError(
      'compose_invalid',
      'none of its services looks like an application that could be deployed',
      {
        left: 'nothing was written',
        hint: 'a service that is built, or that keeps no data, is taken for one',
      },
    );
  }
  const routes = draftRoutes(apps);
  const name = projectName(parsed.data.name ?? 'appliance');
  const text = [
    '# What this appliance runs and how. `appliance config schema` explains every key, `appliance config check` finds mistakes.',
    `name: ${name} # prefix of all containers, networks and volumes`,
    '',
    'source:',
    '  # Releases are tags of this Git repository.',
    `  repository: ${scalar(source.repository)}`,
    `  compose: [${source.compose.map(scalar).join(', ')}]`,
    ...envLines(source),
    '',
    '# What each service of the Compose project is. app: rolled, one copy per colour; core: long-lived, shared by both colours;',
    '# migrate: run once before a new release starts; job: one-shot, run with the app; ignore: not started.',
    'services:',
    ...drafts.flatMap(serviceLines),
    '',
    '# Which requests go where; the longest prefix wins.',
    'routes:',
    ...routes.map(
      ({ path, service, port, why }) =>
        `  - { path: ${scalar(path)}, service: ${scalar(service)}, port: ${port} } # ${why}`,
    ),
    '',
    'edge:',
    '  # The edge listens on this host only. For the world: http: "80", https: "443", and the names under domains.',
    '  http: 127.0.0.1:8080',
    '  https: 127.0.0.1:8443',
    '',
    '# Prometheus, Alertmanager and the rules of policies, on this host only; their images are built from a clone of the',
    '# appliance with compose/images/build.sh (docs/guide/monitoring.md).',
    '# monitoring:',
    `#   scrape: [{ service: ${scalar(apps[0]?.name ?? '')}, port: 8000 }] # app services that tell metrics, at /metrics`,
    '#   policies: [routing-ml]',
    '',
  ].join('\n');
  return {
    text,
    notes: [
      ...drafts.map(({ name: service, role, why }) => `${service} is ${role}: ${why}`),
      ...routes.map(({ path, service, port, why }) => `${path} goes to ${service}:${port}: ${why}`),
    ],
  };
}

function draftServices(model: DraftModel): Draft[] {
  let migration: string | undefined;
  return Object.entries(model.services)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, service]): Draft => {
      const { role, why } = guessRole(name, service, model);
      if (role !== 'migrate') return { name, service, role, why };
      if (migration !== undefined)
        return { name, service, role: 'job', why: `${why}; a release has one migration, and that is ${migration}` };
      migration = name;
      return { name, service, role, why };
    });
}

function serviceLines({ name, service, role, why }: Draft): string[] {
  const head = [`  # ${why}`, `  ${scalar(name)}:`, `    role: ${role}`];
  if (role !== 'app') return head;
  const url = healthUrl(service);
  if (url) {
    return [
      ...head,
      '    # From its healthcheck. When the service answers with X-Appliance-Release: $APPLIANCE_RELEASE, remove releaseHeader:',
      '    # a 200 alone does not prove that it is the new release that answers.',
      `    probe: { type: http, port: ${url.port}, path: ${scalar(url.path)}, releaseHeader: false }`,
    ];
  }
  const [port] = portsOf(service);
  if (port === undefined) return [...head, '    # It names no port, so it counts as healthy when it runs.'];
  return [
    ...head,
    '    # Its port is all that is known. An HTTP probe says more: { type: http, port: …, path: /health }',
    `    probe: { type: tcp, port: ${port} }`,
  ];
}

interface DraftRoute {
  readonly path: string;
  readonly service: string;
  readonly port: number;
  readonly why: string;
}

const pages = /^(?:web|www|front|frontend|ui|site|app|client|dashboard|portal)/i;

/** The service that looks like web pages gets `/`, every other one a prefix with its name. */
function draftRoutes(apps: readonly Draft[]): DraftRoute[] {
  const open = apps.flatMap(({ name, service }) => {
    const [port] = portsOf(service);
    return port === undefined ? [] : [{ name, port, published: (service.ports ?? []).length > 0 }];
  });
  const published = open.filter((one) => one.published);
  const candidates = published.length > 0 ? published : open;
  const [first] = apps;
  const root = candidates.find(({ name }) => pages.test(name)) ?? candidates[0];
  if (!root)
    return [
      {
        path: '/',
        service: first?.name ?? '',
        port: 80,
        why: 'CHANGE THIS: the project does not say on which port it listens',
      },
    ];
  const why = (isPublished: boolean) => (isPublished ? 'the port it publishes' : 'the port it exposes or checks');
  const used = new Set(['/']);
  const rest = candidates.flatMap(({ name, port, published: isPublished }) => {
    if (name === root.name) return [];
    const word = name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '');
    const path = /^(?:api|backend|server)$/.test(word) ? '/api/' : `/${word}/`;
    if (word === '' || used.has(path)) return [];
    used.add(path);
    return [{ path, service: name, port, why: `${why(isPublished)}; check the path` }];
  });
  return [...rest, { path: '/', service: root.name, port: root.port, why: why(root.published) }];
}

function envLines({ envFile }: DraftSource): string[] {
  if (envFile === undefined) return ['  # envFile: /etc/appliance/environment # secrets of the project, mode 0600'];
  return ['  # Secrets of the project; it must have mode 0600.', `  envFile: ${scalar(envFile)}`];
}

function projectName(text: string): string {
  const plain = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 32)
    .replace(/-+$/, '');
  return plain === '' ? 'appliance' : plain;
}

/** A value as it must be written in YAML flow, quoted only where it has to be. */
function scalar(text: string): string {
  return /^[A-Za-z_/.][A-Za-z0-9_/.-]*$/.test(text) && !/^(?:true|false|null|yes|no|on|off|\.inf|\.nan)$/i.test(text)
    ? text
    : stringify(text, { defaultStringType: 'QUOTE_DOUBLE', lineWidth: 0 }).trim();
}
