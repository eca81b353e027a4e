import { loadavg } from 'node:os';
import { join } from 'node:path';
import type { EvidenceTypes } from '../../capabilities/doctor/evidence.ts';
import { systemNames } from '../../host/dns.ts';
import { exists } from '../../host/files.ts';
import { processors, totalMemory } from '../../host/machine.ts';
import { availableMemory } from '../../host/memory.ts';
import { Prometheus } from '../../host/prometheus.ts';
import { asApplianceError, messageOf } from '../../lib/errors.ts';
import type { Appliance } from '../appliance.ts';
import { certificateStatus } from '../certificate-status.ts';
import type { Gatherers } from './gather.ts';
import { diskOf } from './stack-evidence.ts';

type UpkeepEvidence = Pick<Gatherers, 'machine' | 'disk' | 'certificates' | 'alerting' | 'backups' | 'security'>;

/** What can be seen of all that runs beside the application. */
export function upkeepEvidence(a: Appliance): UpkeepEvidence {
  return {
    machine: machineOf,
    disk: () => diskOf(a.paths.lib, () => takersOf(a)),
    certificates: (signal) => certificatesOf(a, signal),
    alerting: (signal) => alertingOf(a, signal),
    backups: () => backupsOf(a),
    security: () =>
      a.checks
        .seen()
        .flatMap(({ group, verdict, id, observed, time }) =>
          group === 'security' && verdict === 'fail' ? [{ id, observed, time }] : [],
        ),
  };
}

export async function machineOf(): Promise<EvidenceTypes['machine']> {
  return {
    processors: processors(),
    load: loadavg()[0] ?? 0,
    memory: totalMemory(),
    memoryFree: await availableMemory(),
  };
}

/** What of the appliance takes how much, as far as it is known without reading whole directories. */
async function takersOf(a: Appliance): Promise<{ what: string; bytes: number }[]> {
  const images = await a.engine.images(`appliance.local/${a.config.name}/*`);
  const backups = a.backups.recent().reduce((sum, { added }) => sum + (added ?? 0), 0);
  return [
    { what: 'images of releases', bytes: images.reduce((sum, { bytes }) => sum + bytes, 0) },
    { what: 'snapshots', bytes: backups },
  ];
}

async function certificatesOf(a: Appliance, signal: AbortSignal): Promise<EvidenceTypes['certificates']> {
  const all = await certificateStatus(a.certificates, a.clock.now(), signal);
  const names = systemNames();
  return Promise.all(
    all.map(async ({ set, domains, kind, notAfter, serial, servedSerial, due, lastError, nextAttempt }) => ({
      set,
      domains,
      kind,
      notAfter: notAfter === null ? null : Date.parse(notAfter),
      serial,
      servedSerial,
      due,
      lastError,
      nextAttempt: nextAttempt === null ? null : Date.parse(nextAttempt),
      // Only what an authority must find matters; a name that nobody was asked for says nothing.
      unresolved:
        lastError === null
          ? []
          : (
              await Promise.all(
                domains
                  .filter((domain) => !domain.startsWith('*.'))
                  .map(async (domain) =>
                    (await names.addresses(domain).catch(() => ['unknown'])).length === 0 ? [domain] : [],
                  ),
              )
            ).flat(),
    })),
  );
}

async function alertingOf(a: Appliance, signal: AbortSignal): Promise<EvidenceTypes['alerting']> {
  const view = await a.alerting.desk.view(signal);
  const { monitoring } = a.config;
  const prometheus = monitoring && new Prometheus(`http://${monitoring.prometheus.listen}`);
  const asked = prometheus && (await prometheusOf(prometheus, signal));
  return {
    receivers: Object.keys(a.config.alerts?.receivers ?? {}).length,
    alertmanager: view.alertmanager,
    prometheus: asked ? { problem: asked.problem, rules: asked.rules } : null,
    refused: a.alerting.notifications(),
    silences: view.silences.map(({ id, matchers, until }) => ({ id, matchers, until })),
    firing: view.alerts
      .filter(({ state }) => state !== 'silenced')
      .map(({ name, severity, summary }) => ({ name, severity, summary })),
    down: asked?.down ?? [],
  };
}

async function prometheusOf(
  prometheus: Prometheus,
  signal: AbortSignal,
): Promise<{ problem: string | null; rules: boolean; down: string[] }> {
  try {
    const [down, rules] = await Promise.all([
      prometheus.query('up == 0', { signal }),
      prometheus.query('sum(prometheus_rule_group_rules)', { signal }),
    ]);
    return {
      problem: null,
      // A Prometheus that does not watch itself does not tell.
      rules: rules[0] === undefined || rules[0].value > 0,
      down: down.map(({ labels }) => `${labels.job ?? ''} ${labels.instance ?? ''}`.trim()),
    };
  } catch (error) {
    signal.throwIfAborted();
    return { problem: messageOf(error), rules: true, down: [] };
  }
}

async function backupsOf(a: Appliance): Promise<EvidenceTypes['backups']> {
  const recent = a.backups.recent();
  const good = recent.find(({ state }) => state === 'verified' || state === 'stored');
  const [newest] = recent;
  const job = a.schedule.list().find(({ name }) => name === 'backup');
  return {
    enabled: a.config.backups.enabled,
    lastSuccess: good ? good.began + (good.seconds ?? 0) * 1_000 : null,
    newest: newest ? { id: newest.id, state: newest.state } : null,
    overdueSeconds: job?.overdueSeconds ?? 0,
    error: job?.last?.error ?? null,
    waitsFor: job?.waitsFor ?? null,
    nextRun: job?.nextRun ?? null,
    damaged: a.backups.records.damage('local') !== undefined,
    key: await a.backups.key.read().then(
      () => true,
      (error: unknown) => {
        // A file that may not be read is another matter than one that is not there.
        if (asApplianceError(error).code !== 'backup_key') throw error;
        return false;
      },
    ),
    repository: await exists(join(a.backups.paths.repository, 'config')),
    targets: a.backups.targets().map(({ name, failures, error }) => ({ name, failures, error })),
  };
}
