import { expect } from 'vitest';
import { Load, type Loss } from '../support/load.ts';
import type { FaultLab } from './lab.ts';

/** Clients that ask all the time while something dies. */
export function startTraffic({ options: { port } }: FaultLab): Load {
  return new Load({ port, path: '/health', keepAlive: 6, fresh: 3, pause: 30 });
}

export interface Seen {
  /** Tags that answered, in the order in which they were first seen. */
  readonly releases: readonly string[];
  /** The operation tells the edge new addresses, which is a reload. */
  readonly reload: boolean;
}

/** Ends the clients. No request may have been lost, and each was answered by a release that had its turn. */
export async function expectNothingLost(clients: Load, { releases, reload }: Seen): Promise<void> {
  const report = await clients.stop();
  expect(report.losses.filter((loss) => !(reload && isClosedByReload(loss)))).toEqual([]);
  expect([...report.releases.keys()]).toEqual(releases);
}

/** nginx before 1.27.4 closes idle connections at a reload; a client that never retries may just be using one (docs/limits.md). */
function isClosedByReload({ client, why }: Loss): boolean {
  return client.startsWith('keep-alive') && /socket hang up|ECONNRESET/.test(why);
}
