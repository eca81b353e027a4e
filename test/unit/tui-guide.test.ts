import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { releaseOrders } from '../../src/tui/orders/releases.ts';
import { screens } from '../../src/tui/screens/table.ts';
import type { State, View } from '../../src/tui/state.ts';
import { keys, lookedAt, picture, recordedState } from '../support/screens.ts';

const guide = join(import.meta.dirname, '../../docs/guide/screens.md');

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: lookedAt });
});
afterAll(() => {
  vi.useRealTimers();
});

const on = (screen: View['screen'], view: Partial<View> = {}, patch: Partial<State> = {}): State => {
  const state = recordedState(patch);
  return { ...state, view: { ...state.view, screen, ...view } };
};

/** What stands between `<!-- NAME -->` and `<!-- end -->` in the guide: frames of the screens, and the table of keys. */
const parts: Readonly<Record<string, () => string>> = {
  ...Object.fromEntries(screens.map(({ name }) => [`frame ${name}`, () => framed(on(name), 100, 28)])),
  'frame wide': () => framed(on('overview'), 180, 30),
  'frame dialog': () =>
    framed(
      on('releases', {
        overlay: {
          kind: 'dialog',
          order: releaseOrders.rollback('v0.9'),
          plan: {
            kind: 'rollback',
            from: 'v1.0',
            to: 'v0.9',
            strategy: 'blue-green',
            colour: 'green',
            steps: [
              { action: 'verify-colour', title: 'prove that green serves v0.9', cause: 'it is warm', seconds: 0.3 },
              {
                action: 'shift-traffic',
                title: 'shift the traffic to green',
                cause: 'v0.9 becomes live',
                seconds: 0.4,
              },
            ],
            changes: [{ area: 'image', name: 'backend', kind: 'changed', from: 'sha256:22…', to: 'sha256:11…' }],
            notes: [],
            predictedSeconds: 0.7,
            predictedDowntimeSeconds: 0,
          },
          typed: '',
          go: false,
          top: 0,
        },
      }),
      100,
      22,
    ),
  'frame palette': () => framed(on('overview', { overlay: { kind: 'palette', text: 'roll', chosen: 0 } }), 100, 18),
  keys: keyTables,
};

function framed(state: State, width: number, height: number): string {
  return `\`\`\`text\n${picture(state, width, height)}\n\`\`\``;
}

function keyTables(): string {
  const scopes = [
    ['Everywhere', 'everywhere'],
    ['Moving about in lists and logs', 'moving'],
    ...screens.map(({ title, name }) => [title, name] as const),
  ] as const;
  return scopes
    .map(([title, scope]) => {
      const rows = keys.bindings.filter((binding) => binding.scope === scope);
      return [
        `### ${title}`,
        '',
        '| key | does | action |',
        '|---|---|---|',
        ...rows.map(
          (row) =>
            `| ${row.keys.map((key) => `\`${key}\``).join(' ')} | ${row.help}${row.changes === true ? ' *' : ''} | \`${row.action}\` |`,
        ),
      ].join('\n');
    })
    .join('\n\n');
}

it('the guide shows every screen and every key as they are', async () => {
  const text = readFileSync(guide, 'utf8');
  const seen: string[] = [];
  const made = text.replace(/<!-- (.+?) -->\n[\s\S]*?<!-- end -->/g, (_, name: string) => {
    const part = parts[name];
    if (!part) throw new Error(`the guide has a part ${name} that nothing makes`);
    seen.push(name);
    return `<!-- ${name} -->\n${part()}\n<!-- end -->`;
  });
  expect(seen.sort()).toEqual(Object.keys(parts).sort());
  await expect(made).toMatchFileSnapshot(guide);
});
