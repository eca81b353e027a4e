import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type ReleaseReport, reportSchema } from '../../src/api/report.ts';
import { reportHtml } from '../../src/cli/report/html.tsx';
import { reportMarkdown } from '../../src/cli/report/markdown.ts';
import { report as reportVerb } from '../../src/cli/verbs/report.ts';

const time = '2030-01-01T02:03:04.000Z';
const digest = `sha256:${'d'.repeat(64)}`;
const hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)> | `a` **b** [c](http://evil.example)\n# d';
const finding = { id: 'check.one', verdict: 'pass' as const, observed: hostile, expected: 'well', samples: 299 };
const said = { time, user: 'anna', uid: 1001, account: 'root', ssh: '192.0.2.7', comment: hostile };
const told: ReleaseReport = reportSchema.parse({
  appliance: { name: 'shop', version: '1.2.3' },
  generatedAt: time,
  verdict: 'inconclusive',
  release: {
    id: 'v1-0123456789',
    tag: 'v1',
    commit: 'c'.repeat(40),
    state: 'live',
    colour: 'green',
    deployedAt: time,
    actor: 'anna',
    images: [{ service: 'web', ref: 'web:v1', digest }],
    schema: 2,
    verdict: 'pass',
    pinned: false,
    createdAt: time,
    environmentKeys: ['A'],
    environmentSha256: 'e'.repeat(64),
    services: [{ name: 'web', role: 'app', replicas: 2 }],
    schemaReadableFrom: 1,
    imageBytes: 1_000,
    digest,
  },
  changes: { from: 'v0', to: 'v1', changes: [{ area: 'image', name: hostile, kind: 'changed', from: 'a', to: 'b' }] },
  operations: [
    {
      operation: 'deploy-1',
      kind: 'deploy',
      from: 'v0',
      to: 'v1',
      result: 'done',
      startedAt: time,
      actor: 'anna',
      seconds: 61.5,
      shiftSeconds: 60,
      plan: [
        { title: 'start green', cause: hostile, state: 'done', seconds: 11, detail: hostile },
        { title: 'shift', cause: 'v1 is to serve', state: 'done', seconds: 0.3, detail: 'green 100 %' },
      ],
      stages: [{ weight: 5, kind: 'stage', secondsHeld: 900, outcome: 'promoted', promotedBy: 'bob' }],
      verdicts: [finding],
    },
  ],
  approvals: {
    release: 'v1',
    digest,
    commit: 'c'.repeat(40),
    policies: ['careful'],
    verdict: 'inconclusive',
    approvals: [
      { role: 'security', title: 'security', requirement: 'S4-23', holders: null, given: said },
      { role: 'executive', title: 'executive', requirement: 'S4-23', holders: null, given: null },
    ],
    history: [],
  },
  signOff: {
    release: 'v1',
    digest,
    policies: ['careful'],
    deployed: { time, user: 'anna' },
    questions: [
      {
        id: 'S0-54',
        text: 'leads were looked at',
        about: 'release',
        againSeconds: null,
        open: false,
        answer: { answer: 'yes', ...said },
      },
    ],
    signOff: { requirement: 'S1-91', by: 'another', decision: { accepted: true, ...said, user: 'bob' } },
    verdict: 'pass',
  },
  followUps: [{ look: 'hour', due: time, at: time, verdict: 'fail', checks: [{ ...finding, verdict: 'fail' }] }],
  backups: [{ id: 'snap', kind: 'pre-deploy', time, state: 'verified', bytes: 2_000, seconds: 3 }],
  drills: [{ snapshot: 'snap', time, verdict: 'pass', seconds: 9, findings: [finding] }],
  certificates: [{ domains: ['shop.example'], issuer: hostile, notAfter: time, daysLeft: 60 }],
  alerts: [{ name: 'Slow', severity: 'warning', summary: hostile, since: time, end: null }],
  audit: {
    entries: [
      {
        seq: 7,
        time,
        actor: { uid: 0, user: 'root', ssh: null },
        action: 'deploy',
        target: 'v1',
        result: hostile,
        hash: 'h',
      },
    ],
    verdict: 'pass',
    head: { seq: 7, hash: 'f'.repeat(64) },
  },
  open: [{ about: 'S4-23', text: 'not approved by executive', verdict: 'inconclusive', hint: 'appliance approve v1' }],
});

/** What both forms must tell: people, numbers, times, what is open. */
const parts = [
  'release report',
  'not approved by executive',
  'S4-23',
  'S0-54',
  'bob',
  '192.0.2.7',
  '299',
  'leads were looked at',
  'snap',
  'shop.example',
  'goes on',
  `7:${'f'.repeat(64)}`,
];

describe('a release report as HTML', () => {
  const html = reportHtml(told);
  it.each([...parts, 'S1-91'])('tells %s', (part) => {
    expect(html).toContain(part);
  });
  it('lets no text become markup', () => {
    expect(html).not.toContain('<script');
    expect(html).not.toMatch(/<img|onerror=(?!alert\(1\)&gt;)/);
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  });
  it('takes nothing from outside and forbids it', () => {
    const tags = (html.match(/<[a-z][^>]*>/g) ?? []).join('\n');
    expect(tags).toContain('class=');
    expect(tags).not.toMatch(/\s(?:src|href|action|data)=/);
    expect(html).not.toMatch(/@import|url\(/);
    expect(html).toContain(`content="default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;"`);
  });
  it('is made for paper, and for both kinds of screens', () => {
    expect(html).toMatch(/@page \{ size: A4/);
    expect(html).toContain('prefers-color-scheme: dark');
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
  });
});

describe('a release report as Markdown', () => {
  const markdown = reportMarkdown(told);
  it.each(parts)('tells %s', (part) => {
    expect(markdown).toContain(part);
  });
  it('lets no text become markup, a link, or another line', () => {
    const outside = markdown.replace(/`[^`\n]*`/g, '');
    expect(outside).not.toMatch(/<(?:script|img)/);
    expect(outside).not.toContain('[c](http');
    expect(markdown).not.toMatch(/^# d/m);
  });
  it('keeps every row of a table whole', () => {
    const rows = markdown.split('\n').filter((line) => line.startsWith('|'));
    const cells = (line: string) => line.replace(/\\\|/g, '').split('|').length;
    for (const [index, row] of rows.entries())
      if (row.startsWith('| ---')) expect(cells(rows[index + 1] ?? '')).toBe(cells(row));
  });
});

describe('appliance report', () => {
  const directory = mkdtempSync(join(tmpdir(), 'report-'));
  afterEach(() => rmSync(directory, { recursive: true, force: true, maxRetries: 2 }));
  it('writes a file as a whole, or says why not and leaves the one before', async () => {
    const said: unknown[] = [];
    const session = {
      client: async () => ({ ask: async () => told }),
      signal: new AbortController().signal,
      globals: { json: true },
      out: { terminal: false, colour: false, unicode: true, width: 80 },
      document: (value: unknown) => said.push(value),
      answer: (value: unknown) => said.push(value),
      print: () => undefined,
    } as unknown as Parameters<typeof reportVerb>[1];
    const call = (output: string, format: string) => ({ args: { release: 'v1' }, options: { format, output } });
    const path = join(directory, 'v1.html');
    writeFileSync(path, 'old');
    expect(await reportVerb(call(path, 'html'), session)).toBe(0);
    expect(readFileSync(path, 'utf8')).toBe(reportHtml(told));
    expect(said).toEqual([{ file: path, format: 'html', verdict: 'inconclusive' }]);
    await expect(reportVerb(call(join(directory, 'none/v1.md'), 'md'), session)).rejects.toMatchObject({
      code: 'usage',
    });
    expect(readdirSync(directory)).toEqual(['v1.html']);
  });
});
