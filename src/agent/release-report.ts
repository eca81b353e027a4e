import type { ReleaseReport } from '../api/report.ts';
import { diffReleases } from '../capabilities/releases/diff.ts';
import type { ReleaseRecord } from '../capabilities/releases/store.ts';
import { timestamp } from '../lib/clock.ts';
import { oneLine } from '../lib/text.ts';
import { combine } from '../lib/verdict.ts';
import type { OperationRecord } from '../operations/journal.ts';
import type { Appliance } from './appliance.ts';
import { policyIn } from './sign-offs.ts';
import { detailOf } from './status.ts';
import { version } from './version.ts';

/** Operations and entries that are looked through. */
const remembered = 1_000;
/** Operations of one release that are told. */
const told = 20;
/** Audit entries that are told. */
const entries = 200;

type Point = ReleaseReport['open'][number];

/**
 * Everything that is known of a release, from what was written down: no network is asked, so that it is there on the worst
 * day and within a second.
 * @throws ApplianceError `release_not_found`
 */
export async function releaseReport(a: Appliance, tag: string): Promise<ReleaseReport> {
  const release = a.store.find(tag);
  const [detail, manifest, changes] = await Promise.all([
    detailOf(a, release),
    a.store.manifest(release.id),
    changesOf(a, release),
  ]);
  const { checks: _, followUps = [], history: __, ...rest } = detail;
  const recent = a.journal.recent(remembered);
  const about = a.journal.about(release.tag, told).reverse();
  const operations = about.map((record) => chapterOf(a, record));
  const deploy = about.findLast(({ kind }) => kind === 'deploy');
  const named = policyIn(deploy?.input);
  const approvals = a.people.view(manifest, await a.people.roles(named), a.people.policies(named));
  const signOff = release.deployedAt === null ? null : await a.signOffs.show({ tag: release.id });
  const [from, to] = spanOf(a, release, about, recent);
  const proof = a.audit.verify({ archived: false });
  const audited = a.audit.entries(undefined, remembered).filter(({ target }) => target === release.tag);
  const written: Omit<ReleaseReport, 'verdict' | 'open'> = {
    appliance: { name: a.config.name, version },
    generatedAt: timestamp(a.clock.now()),
    release: { ...rest, digest: approvals.digest },
    changes,
    operations,
    approvals,
    signOff,
    followUps,
    ...backupsOf(a, about),
    certificates: (await a.certificates.inForce()).map(({ names, issuer, notAfter }) => ({
      domains: [...names],
      issuer,
      notAfter: timestamp(notAfter),
      daysLeft: Math.floor((notAfter - a.clock.now()) / 86_400_000),
    })),
    alerts: a.alerting.between(from, to).map(({ labels, severity, summary, startsAt, endsAt }) => ({
      name: labels.alertname ?? 'alert',
      severity,
      summary,
      since: timestamp(startsAt),
      end: endsAt === null || endsAt > a.clock.now() ? null : timestamp(endsAt),
    })),
    audit: { entries: audited.slice(0, entries), verdict: proof.verdict, head: a.audit.head() ?? null },
  };
  const open = openPoints(written);
  return { ...written, open, verdict: open.length === 0 ? 'pass' : combine(open.map((point) => point.verdict)) };
}

/** What differs from the release before it, in the order of deployments. */
async function changesOf({ store, config }: Appliance, release: ReleaseRecord): Promise<ReleaseReport['changes']> {
  const all = store.all().filter(({ deployedAt }) => deployedAt !== null);
  const before = all[all.findIndex(({ id }) => id === release.id) + 1];
  if (!before || before.id === release.id) return null;
  const [old, now] = await Promise.all([store.view(before.id), store.view(release.id)]);
  return { from: before.tag, to: release.tag, changes: diffReleases(old, now, config.routes) };
}

function chapterOf(a: Appliance, { id }: OperationRecord): ReleaseReport['operations'][number] {
  const { steps, ...view } = a.operations.reports.view(id);
  const planned = a.journal.steps(id);
  return {
    ...view,
    plan: steps.map(({ state, seconds, detail }, index) => ({
      title: planned[index]?.plan.title ?? '',
      cause: planned[index]?.plan.cause ?? '',
      state,
      seconds,
      detail,
    })),
    stages: a.rollouts.view(id)?.history ?? [],
  };
}

/** Snapshots that its operations made, and every drill of one of them; else the last one of all, which says what a way back is worth. */
function backupsOf(
  { backups, drills }: Appliance,
  about: readonly OperationRecord[],
): Pick<ReleaseReport, 'backups' | 'drills'> {
  const ids = new Set(about.map(({ id }) => id));
  const all = backups.recent();
  const own = all.filter(({ operation }) => ids.has(operation));
  const shown = own.length > 0 ? own : all.slice(0, 1);
  const found = shown.flatMap(({ id }) => drills.reports.of(id));
  const last = drills.reports.last();
  return {
    backups: shown.map(({ id, kind, began, state, bytes, seconds }) => ({
      id,
      kind,
      time: timestamp(began),
      state,
      bytes,
      seconds,
    })),
    drills: (found.length > 0 || !last ? found : [last]).map(({ snapshot, at, verdict, seconds, findings }) => ({
      snapshot,
      time: timestamp(at),
      verdict,
      seconds,
      findings,
    })),
  };
}

/** From its first deploy until the next release took its place, in milliseconds since 1970. */
function spanOf(
  { store, clock }: Appliance,
  release: ReleaseRecord,
  about: readonly OperationRecord[],
  recent: readonly OperationRecord[],
): readonly [number, number] {
  const from = about[0]?.startedAt ?? release.createdAt;
  if (store.live()?.release === release.id) return [from, clock.now()];
  const last = about.at(-1)?.startedAt ?? from;
  const next = recent.findLast(
    ({ kind, target, result, startedAt }) =>
      ['deploy', 'rollback'].includes(kind) && target !== release.tag && result === 'done' && startedAt > last,
  );
  return [from, next?.endedAt ?? clock.now()];
}

/** What is left to do, and what went wrong and was not made good since. Pure. */
function openPoints(report: Omit<ReleaseReport, 'verdict' | 'open'>): Point[] {
  const { release, operations, approvals, signOff, followUps, drills, alerts, audit, certificates } = report;
  const last = operations.findLast(({ kind }) => ['deploy', 'rollback'].includes(kind));
  const point = (about: string, text: string, verdict: Point['verdict'], hint: string | null = null): Point => ({
    about,
    text: oneLine(text),
    verdict,
    hint,
  });
  const lookedAt = followUps.findLast(({ verdict }) => verdict !== null);
  const points = [
    ...(last && last.result !== 'done'
      ? [
          point(
            `${last.kind}`,
            last.error?.message ?? last.result,
            last.result === 'running' ? 'inconclusive' : 'fail',
            last.error?.hint ?? null,
          ),
        ]
      : []),
    ...(last?.verdicts ?? [])
      .filter(({ verdict }) => verdict !== 'pass')
      .map(({ id, observed, verdict, hint }) =>
        point(id, observed, verdict === 'fail' ? 'fail' : 'inconclusive', hint ?? null),
      ),
    ...approvals.approvals
      .filter(({ given }) => given === null)
      .map(({ requirement, title, role }) =>
        point(
          requirement,
          `not approved by ${title}`,
          'inconclusive',
          `appliance approve ${release.tag} --role ${role}`,
        ),
      ),
    ...(signOff?.questions ?? []).flatMap(({ id, text, open, answer }) =>
      open
        ? [point(id, `not answered: ${text}`, 'inconclusive', `appliance signoff ${release.tag}`)]
        : answer?.answer === 'no'
          ? [point(id, `answered with no: ${text}`, 'fail')]
          : [],
    ),
    ...(signOff && signOff.signOff.decision === null
      ? [
          point(
            signOff.signOff.requirement ?? 'sign-off',
            'not signed off',
            'inconclusive',
            `appliance signoff ${release.tag}`,
          ),
        ]
      : signOff?.signOff.decision?.accepted === false
        ? [point(signOff.signOff.requirement ?? 'sign-off', 'not accepted', 'fail')]
        : []),
    ...followUps
      .filter(({ verdict }) => verdict === null)
      .map(({ look, due }) =>
        point(look, `the look after its ${look} is due ${due.slice(0, 16).replace('T', ' ')} UTC`, 'inconclusive'),
      ),
    ...(lookedAt?.checks ?? [])
      .filter(({ verdict }) => verdict === 'fail')
      .map(({ id, observed, hint }) => point(id, observed, 'fail', hint ?? null)),
    ...(drills.some(({ verdict }) => verdict === 'pass')
      ? []
      : [point('backup', 'no restore of a snapshot is proven', 'inconclusive', 'appliance backup drill')]),
    ...certificates
      .filter(({ daysLeft }) => daysLeft < 0)
      .map(({ domains }) => point('certificate', `expired: ${domains.join(', ')}`, 'fail', 'appliance certs renew')),
    ...alerts
      .filter(({ end, severity }) => end === null && severity !== 'info')
      .map(({ name, summary }) => point(name, summary, 'fail', 'appliance alerts')),
    ...(audit.verdict === 'fail'
      ? [point('audit', 'the chain of the audit is broken', 'fail', 'appliance audit verify')]
      : []),
  ];
  // What is wrong comes before what is missing; else in the order of the report.
  return points.toSorted((a, b) => Number(b.verdict === 'fail') - Number(a.verdict === 'fail'));
}
