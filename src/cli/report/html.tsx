import { renderToStaticMarkup } from 'react-dom/server';
import { accountOf, changeLine, seconds } from '../../api/describe.ts';
import type { ReleaseReport } from '../../api/report.ts';
import { formatBytes } from '../../lib/units.ts';
import { Fact, Mark, Section, signs, Table, Under } from './parts.tsx';
import { style } from './style.ts';
import {
  answerWords,
  chapterTitle,
  passed,
  resultWords,
  sentenceOf,
  shortDigest,
  stepVerdict,
  verdictOfResult,
  when,
} from './words.ts';

type Operation = ReleaseReport['operations'][number];

/**
 * A report as one HTML file: no scripts, nothing from outside, light, dark and on paper. React escapes every text, and the
 * file forbids browsers to load or run anything at all. Pure.
 */
export function reportHtml(report: ReleaseReport): string {
  return `<!doctype html>\n${renderToStaticMarkup(<Page report={report} />)}\n`;
}

function Page({ report }: { readonly report: ReleaseReport }) {
  const { release, appliance } = report;
  return (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <meta httpEquiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{`${appliance.name} ${release.tag}, release report`}</title>
        {/* biome-ignore lint/security/noDangerouslySetInnerHtml: a constant of ours; escaped quotes would break it */}
        <style dangerouslySetInnerHTML={{ __html: style }} />
      </head>
      <body>
        <main>
          <Head report={report} />
          <OpenPoints report={report} />
          <People report={report} />
          <Changes report={report} />
          {report.operations.map((operation) => (
            <Chapter key={operation.operation} operation={operation} />
          ))}
          <FollowUps report={report} />
          <Care report={report} />
          <Contents report={report} />
          <Audit report={report} />
          <footer>
            Written {when(report.generatedAt)} UTC by appliance {appliance.version}. All times are UTC. Alerts are those
            that the agent raised itself.
          </footer>
        </main>
      </body>
    </html>
  );
}

function Head({ report }: { readonly report: ReleaseReport }) {
  const { release, appliance, verdict, operations } = report;
  const deploy = operations.findLast(({ kind }) => kind === 'deploy');
  return (
    <header>
      <p className="kicker">{appliance.name} · release report</p>
      <h1>{release.tag}</h1>
      <p className={`verdict ${verdict}`}>
        <span className={`mark ${verdict}`}>{signs[verdict]}</span>
        {sentenceOf(report)}
      </p>
      <dl>
        <Fact name="State">{release.colour === null ? release.state : `${release.state} on ${release.colour}`}</Fact>
        <Fact name="Deployed">
          {release.deployedAt === null ? 'never' : `${when(release.deployedAt)} by ${release.actor ?? 'unknown'}`}
        </Fact>
        <Fact name="Took">
          {deploy ? seconds(deploy.seconds) : '–'}
          {deploy?.shiftSeconds ? <span className="soft"> ({seconds(deploy.shiftSeconds)} to traffic)</span> : null}
        </Fact>
        <Fact name="Database schema">{release.schema ?? 'none'}</Fact>
        <Fact name="Commit">
          <code>{release.commit.slice(0, 12)}</code>
        </Fact>
        <Fact name="Digest">
          <code>{shortDigest(release.digest)}</code>
        </Fact>
      </dl>
    </header>
  );
}

function OpenPoints({ report: { open } }: { readonly report: ReleaseReport }) {
  return (
    <Section title="Open points">
      {open.length === 0 ? (
        <p className="soft">Nothing is open.</p>
      ) : (
        <ul className="open">
          {open.map(({ about, text, verdict, hint }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a page that never changes
            <li key={index}>
              <span>
                <Mark verdict={verdict} word={verdict === 'fail' ? 'wrong' : 'missing'} />
              </span>
              <span>
                <b>{about}</b> {text}
                {hint === null ? null : (
                  <span className="soft">
                    {' '}
                    → <code>{hint}</code>
                  </span>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function People({ report: { approvals, signOff } }: { readonly report: ReleaseReport }) {
  return (
    <>
      <Section title="Approvals">
        <Table
          titles={['', 'Role', 'Approved by', 'When', 'From', 'Remark']}
          rows={approvals.approvals.map(({ title, requirement, given }) => [
            <Mark key="mark" verdict={given ? 'pass' : 'inconclusive'} word={given ? 'given' : 'missing'} />,
            <Under key="role" text={title} small={requirement} />,
            given ? (
              <Under key="by" text={given.user} small={given.account === given.user ? '' : `as ${given.account}`} />
            ) : (
              '–'
            ),
            when(given?.time ?? null),
            given ? (given.ssh ?? 'this host') : '–',
            given?.comment ?? '',
          ])}
          instead="No policy asks for any."
        />
      </Section>
      <Section title="Questions and sign-off">
        {signOff === null ? (
          <p className="soft">The release was never in service.</p>
        ) : (
          <>
            <Table
              titles={['', 'Question', 'Answer', 'By', 'When']}
              rows={signOff.questions.map(({ id, text, open, answer }) => [
                <Mark
                  key="mark"
                  verdict={open ? 'inconclusive' : answer?.answer === 'no' ? 'fail' : 'pass'}
                  word={open ? 'open' : (answer?.answer ?? '')}
                />,
                <Under key="question" text={text} small={id} />,
                answer === null ? '–' : answerWords(answer.answer, answer.comment),
                answer?.user ?? '–',
                when(answer?.time ?? null),
              ])}
              instead="No policy asks people anything."
            />
            <SignOff signOff={signOff} />
          </>
        )}
      </Section>
    </>
  );
}

function SignOff({ signOff: { deployed, signOff } }: { readonly signOff: NonNullable<ReleaseReport['signOff']> }) {
  const { decision } = signOff;
  const verdict = decision === null ? 'inconclusive' : decision.accepted ? 'pass' : 'fail';
  return (
    <div className="sign">
      <Signed name="Deployer" value={deployed.user} small={when(deployed.time)} />
      <Signed
        name="Verifier"
        value={decision?.user ?? '–'}
        small={decision ? (decision.ssh ?? 'this host') : 'not signed off yet'}
      />
      <Signed name="Date and time" value={when(decision?.time ?? null)} small="UTC" />
      <div>
        <p className="soft">Accepted{signOff.requirement === null ? '' : ` (${signOff.requirement})`}</p>
        <p className="value">
          <Mark verdict={verdict} word={decision === null ? 'open' : decision.accepted ? 'yes' : 'no'} />
        </p>
        {decision?.comment ? <p className="soft">{decision.comment}</p> : null}
      </div>
    </div>
  );
}

function Signed({ name, value, small }: { readonly name: string; readonly value: string; readonly small: string }) {
  return (
    <div>
      <p className="soft">{name}</p>
      <p className="value">{value}</p>
      <p className="soft">{small}</p>
    </div>
  );
}

function Changes({ report: { changes } }: { readonly report: ReleaseReport }) {
  return (
    <Section title={changes === null ? 'What changed' : `What changed since ${changes.from}`}>
      {changes === null || changes.changes.length === 0 ? (
        <p className="soft">{changes === null ? 'There was no release before it.' : 'Nothing.'}</p>
      ) : (
        <ul className="changes">
          {changes.changes.map((change) => (
            <li key={`${change.area} ${change.name}`}>
              <code>{changeLine(change)}</code>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function Chapter({ operation }: { readonly operation: Operation }) {
  const { plan, verdicts, stages, error, result } = operation;
  const longest = Math.max(...plan.map((step) => step.seconds), 0.001);
  return (
    <Section title={chapterTitle(operation)}>
      <p>
        <Mark verdict={verdictOfResult(result)} word={resultWords(result)} />{' '}
        <span className="soft">
          begun {when(operation.startedAt)} by {operation.actor}, {seconds(operation.seconds)}
          {operation.shiftSeconds === null ? '' : `, traffic on it after ${seconds(operation.shiftSeconds)}`}
        </span>
      </p>
      {error ? <p className="error">{error.message}</p> : null}
      <h3>Steps</h3>
      <Table
        titles={['', 'Step', 'What was done', 'Took']}
        rows={plan.map(({ title, cause, state, detail, seconds: took }, index) => [
          <Mark key="mark" verdict={stepVerdict(state)} word={state} />,
          <Under key="step" text={`${index + 1}. ${title}`} small={cause} />,
          detail,
          <div key="time" className="time">
            {seconds(took)}
            <span
              className={`bar ${stepVerdict(state)}`}
              style={{ width: `${Math.max(1, (100 * took) / longest).toFixed(1)}%` }}
            />
          </div>,
        ])}
        instead="Nothing was done."
      />
      {stages.length === 0 ? null : (
        <>
          <h3>Traffic</h3>
          <Table
            titles={['', 'Share', 'Held', 'Let through by']}
            rows={stages.map(({ weight, kind, secondsHeld, outcome, promotedBy }) => [
              <Mark
                key="mark"
                verdict={outcome === null ? 'inconclusive' : ['passed', 'promoted'].includes(outcome) ? 'pass' : 'fail'}
                word={outcome ?? 'open'}
              />,
              kind === 'shadow' ? 'copies of requests' : `${weight} %${kind === 'bake' ? ', watched' : ''}`,
              seconds(secondsHeld),
              promotedBy ?? 'its gates',
            ])}
            instead=""
          />
        </>
      )}
      {verdicts.length === 0 ? null : (
        <>
          <h3>Verdicts, {passed(verdicts)}</h3>
          <Table
            titles={['', 'Check', 'Seen', 'Expected', 'Samples']}
            rows={verdicts.map(({ id, verdict, observed, expected, samples }) => [
              <Mark key="mark" verdict={verdict} />,
              <code key="id">{id}</code>,
              observed,
              expected ?? '',
              samples ?? '',
            ])}
            instead=""
          />
        </>
      )}
    </Section>
  );
}

function FollowUps({ report: { followUps } }: { readonly report: ReleaseReport }) {
  return (
    <Section title="Looks after it went live">
      <Table
        titles={['', 'After', 'Due', 'Taken', 'Checks', 'What did not pass']}
        rows={followUps.map(({ look, due, at, verdict, checks }) => [
          <Mark key="mark" verdict={verdict ?? 'inconclusive'} {...(verdict === null ? { word: 'to come' } : {})} />,
          look,
          when(due),
          when(at),
          at === null ? '–' : passed(checks),
          checks
            .filter((check) => check.verdict !== 'pass')
            .map(({ id, observed }) => `${id}: ${observed}`)
            .join('; '),
        ])}
        instead="None is due."
      />
    </Section>
  );
}

function Care({ report: { backups, drills, certificates, alerts } }: { readonly report: ReleaseReport }) {
  return (
    <>
      <Section title="Backups and drills">
        <Table
          titles={['', 'Snapshot', 'Kind', 'Begun', 'Size', 'Took']}
          rows={backups.map(({ id, kind, time, state, bytes, seconds: took }) => [
            <Mark
              key="mark"
              verdict={state === 'verified' ? 'pass' : state === 'failed' ? 'fail' : 'inconclusive'}
              word={state}
            />,
            <code key="id">{id}</code>,
            kind,
            when(time),
            bytes === null ? '–' : formatBytes(bytes),
            took === null ? '–' : seconds(took),
          ])}
          instead="There is no snapshot."
        />
        <h3>Restores that were tried</h3>
        <Table
          titles={['', 'Snapshot', 'When', 'Checks', 'Took']}
          rows={drills.map(({ snapshot, time, verdict, seconds: took, findings }) => [
            <Mark key="mark" verdict={verdict} />,
            <code key="id">{snapshot}</code>,
            when(time),
            passed(findings),
            seconds(took),
          ])}
          instead="None."
        />
      </Section>
      <Section title="Certificates">
        <Table
          titles={['', 'Names', 'Issuer', 'Until', 'Days left']}
          rows={certificates.map(({ domains, issuer, notAfter, daysLeft }) => [
            <Mark key="mark" verdict={daysLeft < 0 ? 'fail' : 'pass'} word={daysLeft < 0 ? 'expired' : 'valid'} />,
            domains.join(', '),
            issuer,
            when(notAfter),
            daysLeft,
          ])}
          instead="There is none."
        />
      </Section>
      <Section title="Alerts meanwhile">
        <Table
          titles={['', 'Alert', 'What', 'Since', 'Until']}
          rows={alerts.map(({ name, severity, summary, since, end }) => [
            <Mark key="mark" verdict={severity === 'critical' ? 'fail' : 'inconclusive'} word={severity} />,
            name,
            summary,
            when(since),
            end === null ? 'goes on' : when(end),
          ])}
          instead="There was none."
        />
      </Section>
    </>
  );
}

function Contents({ report: { release } }: { readonly report: ReleaseReport }) {
  return (
    <Section title="What it consists of">
      <Table
        titles={['Service', 'Image', 'Digest']}
        rows={release.images.map(({ service, ref, digest }) => [
          service,
          ref,
          <code key="digest">{shortDigest(digest)}</code>,
        ])}
        instead="Its images are not built."
      />
      <p className="soft">
        {release.services
          .map(({ name, role, replicas }) => `${name} (${role}${replicas > 1 ? `, ${replicas}` : ''})`)
          .join(' · ')}
      </p>
      <p className="soft">
        Release <code>{release.id}</code>, digest <code>{release.digest}</code>, environment{' '}
        <code>{release.environmentSha256.slice(0, 16)}</code> with {release.environmentKeys.length} keys.
      </p>
    </Section>
  );
}

function Audit({ report: { audit } }: { readonly report: ReleaseReport }) {
  return (
    <Section title="Audit">
      <Table
        titles={['#', 'When', 'Who', 'Did', 'Result']}
        rows={audit.entries
          .toReversed()
          .map(({ seq, time, actor, action, result }) => [
            seq,
            when(time),
            `${accountOf(actor)}${actor.ssh === null ? '' : ` from ${actor.ssh}`}`,
            action,
            result,
          ])}
        instead="Nothing is recorded."
      />
      <p className="soft">
        Chain: <Mark verdict={audit.verdict} />{' '}
        {audit.head === null ? null : (
          <>
            its head is{' '}
            <code>
              {audit.head.seq}:{audit.head.hash}
            </code>
          </>
        )}
      </p>
    </Section>
  );
}
