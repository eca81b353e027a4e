import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { EventHub } from '../../src/agent/events.ts';

it('forgets a listener who has gone before reading anything', async () => {
  const { signal } = new AbortController();
  const events = new EventHub().subscribe(signal);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  await events.return(undefined);
  expect(await events.next()).toMatchObject({ done: true });
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});
