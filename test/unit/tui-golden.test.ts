import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { screenNames } from '../../src/tui/screen-names.ts';
import { ascii, lookedAt, picture, recordedState } from '../support/screens.ts';

const folder = join(import.meta.dirname, 'golden/screens');
const sizes = [
  [60, 14],
  [80, 24],
  [300, 80],
] as const;

// Times in the frames are those of a clock that stands still.
beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: lookedAt });
});
afterAll(() => {
  vi.useRealTimers();
});

it.each(screenNames)('%s is drawn as it was, at three sizes', async (screen) => {
  const state = recordedState();
  const shown = { ...state, view: { ...state.view, screen } };
  const frames = sizes.map(([width, height]) => `${width} x ${height}\n${picture(shown, width, height)}\n`);
  await expect(frames.join('\n')).toMatchFileSnapshot(join(folder, `${screen}.txt`));
});

it('without UTF-8 the same is said in ASCII', async () => {
  const state = recordedState();
  const shown = { ...state, view: { ...state.view, screen: 'checks' } as const };
  await expect(`${picture(shown, 80, 24, ascii)}\n`).toMatchFileSnapshot(join(folder, 'checks-ascii.txt'));
});
