import { expect, it } from 'vitest';
import { maskUrls } from '../../src/lib/urls.ts';

it.each([
  ['https://token@host/x', 'https://***@host/x'],
  ['https://robot:geheim@host/x', 'https://***@host/x'],
  ['https://robot:ge@heim@host/x', 'https://***@host/x'],
  ['git://robot:geheim@host/x', 'git://***@host/x'],
  [
    'no way to https://robot:geheim@host/x nor to http://token@host',
    'no way to https://***@host/x nor to http://***@host',
  ],
])('a URL shows no credentials: %s', (text, shown) => {
  expect(maskUrls(text)).toBe(shown);
});

it.each(['ssh://git@host/x', 'git@host:x', '/srv/a@b', 'https://host/@scope/name', 'https://host/x and me@host'])(
  'what is no secret stays: %s',
  (text) => {
    expect(maskUrls(text)).toBe(text);
  },
);
