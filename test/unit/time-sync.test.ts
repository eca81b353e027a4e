import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { clockState } from '../../src/host/time-sync.ts';

// An agent that dies of a question about the time takes a deploy with it.
it('a time server that does not answer ends nothing but the question, also when that was given up', async () => {
  // Nobody answers in the network for documentation (RFC 5737).
  const given = new AbortController();
  const asked = clockState('192.0.2.1', given.signal);
  await delay(300);
  given.abort();
  const { offset, source } = await asked;
  if (source.startsWith('192.0.2.1')) expect(offset).toBeNull();
  expect(await clockState('192.0.2.1', AbortSignal.abort())).toMatchObject({ synchronised: null });
  // Longer than a question may take: a timer that is left would end this process.
  await delay(2_500);
});
