import { didYouMean } from '../lib/near.ts';
import type { AlertsConfig, Channel, ReceiverConfig } from './alerts.ts';

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}
type Setting = Exclude<keyof ReceiverConfig, 'type' | 'tls'>;

/** Settings that each channel cannot do without (one of each group), and those that it may have besides. */
const settings: Readonly<Record<Channel, { readonly needs: readonly Setting[][]; readonly may: readonly Setting[] }>> =
  {
    webhook: { needs: [['url', 'urlFile']], may: [] },
    slack: { needs: [['urlFile']], may: ['channel'] },
    pagerduty: { needs: [['keyFile']], may: ['url'] },
    email: { needs: [['to'], ['from'], ['server']], may: ['user', 'passwordFile'] },
  };

/** Everything in the section `alerts` that is well-formed but cannot work. Pure. */
export function alertsIssues(alerts: AlertsConfig | undefined): Issue[] {
  if (!alerts) return [];
  return [
    ...Object.entries(alerts.receivers).flatMap(([name, receiver]) =>
      receiverIssues(receiver, ['alerts', 'receivers', name]),
    ),
    ...nameIssues(alerts),
    ...escalationIssues(alerts),
  ];
}

function receiverIssues(receiver: ReceiverConfig, path: readonly PropertyKey[]): Issue[] {
  const { needs, may } = settings[receiver.type];
  const given = (Object.keys(receiver) as (keyof ReceiverConfig)[]).filter(
    (key): key is Setting => key !== 'type' && key !== 'tls' && receiver[key] !== undefined,
  );
  const missing = needs
    .filter((group) => !group.some((key) => given.includes(key)))
    .map((group) => ({ path, message: `${receiver.type} needs ${group.join(' or ')}` }));
  const known = [...needs.flat(), ...may];
  const foreign = given
    .filter((key) => !known.includes(key))
    .map((key) => ({ path: [...path, key], message: `${receiver.type} has no ${key}; it takes ${known.join(', ')}` }));
  const both = needs
    .filter((group) => group.filter((key) => given.includes(key)).length > 1)
    .map((group) => ({ path, message: `${group.join(' and ')} exclude each other` }));
  const half = (receiver.user === undefined) !== (receiver.passwordFile === undefined);
  return [
    ...missing,
    ...foreign,
    ...both,
    ...(half && receiver.type === 'email' ? [{ path, message: 'user and passwordFile belong together' }] : []),
  ];
}

/** Every name of a receiver that is used must be one that exists. */
function nameIssues(alerts: AlertsConfig): Issue[] {
  const known = Object.keys(alerts.receivers);
  const uses: [PropertyKey[], string][] = [
    ...(['critical', 'warning', 'info'] as const).flatMap((severity) => usesOf(severity, alerts[severity])),
    ...(alerts.rota?.people ?? []).flatMap((person, index) =>
      person.receivers.map((name, at): [PropertyKey[], string] => [['rota', 'people', index, 'receivers', at], name]),
    ),
    ...alerts.escalation.flatMap(({ to }, index) =>
      to.map((name, at): [PropertyKey[], string] => [['escalation', index, 'to', at], name]),
    ),
    ...(alerts.deadman === undefined ? [] : [[['deadman'], alerts.deadman] as [PropertyKey[], string]]),
  ];
  return uses
    .filter(([, name]) => !known.includes(name))
    .map(([path, name]) => ({
      path: ['alerts', ...path],
      message: `there is no receiver ${name}; ${didYouMean(name, known) ?? `there are ${known.join(', ') || 'none'}`}`,
    }));
}

function usesOf(key: string, names: readonly string[]): [PropertyKey[], string][] {
  return names.map((name, at) => [[key, at], name]);
}

function escalationIssues({ escalation }: AlertsConfig): Issue[] {
  return escalation.flatMap(({ after }, index) => {
    const before = escalation[index - 1]?.after ?? 0;
    if (after > before) return [];
    const message = index === 0 ? 'it must be longer than 0s' : 'each must come later than the one before';
    return [{ path: ['alerts', 'escalation', index, 'after'], message }];
  });
}
