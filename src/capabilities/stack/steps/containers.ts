import type { ContainerDetail, ContainerSummary } from '../../../host/docker.ts';
import type { Finding } from '../../../lib/verdict.ts';
import type { PlannedProject } from '../colour-model.ts';
import { type ComposeModel, networkName, type Service } from '../model.ts';
import { labelKeys } from '../transform.ts';
import type { StackEngine } from './deps.ts';

const composeLabels = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
  oneOff: 'com.docker.compose.oneoff',
} as const;

/** Containers of a Compose project, one-off ones left out. */
export async function containersOf(engine: StackEngine, projectName: string): Promise<ContainerSummary[]> {
  const all = await engine.containers([`${composeLabels.project}=${projectName}`]);
  return all.filter(({ labels }) => labels[composeLabels.oneOff] !== 'True');
}

export function serviceOf(container: Pick<ContainerSummary, 'labels'>): string {
  return container.labels[composeLabels.service] ?? '';
}

/** The last lines of a container's log, without the engine's time stamps. */
export async function lastLines(
  engine: StackEngine,
  container: Pick<ContainerDetail, 'id' | 'tty'>,
  lines: number,
  signal: AbortSignal,
): Promise<string[]> {
  const text: string[] = [];
  try {
    for await (const chunk of engine.logs(container, { follow: false, tail: lines, signal })) text.push(chunk.text);
  } catch {
    return []; // A container without readable log (driver none) must not hide the real error.
  }
  return text
    .join('')
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) ?/, '').trimEnd())
    .filter((line) => line !== '')
    .slice(-lines);
}

/**
 * Compares the machine with a planned project: every service has its container, which runs on its networks or has
 * ended as it should.
 * @param how.exactly also from the pinned image, at its fixed address, and with nothing else in the project
 */
export async function compareWithModel(
  engine: StackEngine,
  id: string,
  { projectName, model }: Pick<PlannedProject, 'projectName' | 'model'>,
  how: {
    readonly exactly: boolean;
    /** Containers and services that may be as they like, by their labels. */
    readonly ignoring?: (labels: Readonly<Record<string, string>> | undefined) => boolean;
  } = { exactly: true },
): Promise<Finding> {
  const { ignoring = () => false } = how;
  const found = new Map(
    (await containersOf(engine, projectName))
      .filter(({ labels }) => !ignoring(labels))
      .map((container) => [serviceOf(container), container]),
  );
  const wanted = Object.entries(model.services).filter(([, { labels }]) => !ignoring(labels));
  const problems: string[] = [];
  for (const [name, service] of wanted) {
    const summary = found.get(name);
    const detail = summary && (await engine.inspect(summary.id));
    problems.push(...(detail ? differences(name, service, model, detail, how.exactly) : [`${name} has no container`]));
  }
  if (how.exactly)
    for (const name of found.keys()) if (!model.services[name]) problems.push(`${name} does not belong here`);
  const total = wanted.length;
  return {
    id,
    verdict: problems.length === 0 ? 'pass' : 'fail',
    observed: problems.length === 0 ? `${total} containers run the pinned images` : problems.join('; '),
    expected: `${total} containers from the images of the release`,
    samples: total,
  };
}

function differences(
  name: string,
  service: Service,
  model: ComposeModel,
  detail: ContainerDetail,
  exactly: boolean,
): string[] {
  const problems: string[] = [];
  const ended = detail.labels[labelKeys.role] === 'job' && detail.state === 'exited' && detail.exitCode === 0;
  if (!detail.running && !ended) problems.push(`${name} is ${detail.state} (exit status ${detail.exitCode})`);
  if (detail.running)
    for (const network of Object.keys(service.networks ?? {}).map((key) => networkName(model, key)))
      if (detail.addresses[network] === undefined) problems.push(`${name} is not on the network ${network}`);
  if (!exactly) return problems;
  if (detail.imageId !== service.image) problems.push(`${name} runs ${detail.imageId}, not ${service.image}`);
  if (detail.running)
    for (const wrong of wrongAddresses(service.networks, model, detail)) problems.push(`${name} is at ${wrong}`);
  return problems;
}

function wrongAddresses(networks: Service['networks'], model: ComposeModel, detail: ContainerDetail): string[] {
  return Object.entries(networks ?? {}).flatMap(([key, network]) => {
    const wanted = network?.ipv4_address;
    if (typeof wanted !== 'string') return [];
    const actual = detail.addresses[networkName(model, key)] ?? '';
    return actual === wanted ? [] : [`${actual || 'no address'} instead of ${wanted}`];
  });
}
