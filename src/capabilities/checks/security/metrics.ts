import type { BoundedAnswer } from '../../../host/http-bounded.ts';
import { type Check, fail, pass } from '../check.ts';

/**
 * Metrics are for the inside alone (S2-32): the edge hands none out, and what it calls inside has no public addresses.
 * @param ask `/metrics` through the edge; @param internal `edge.internal`
 */
export function metricsCheck(
  ask: (path: string, signal: AbortSignal) => Promise<BoundedAnswer>,
  internal: readonly string[],
): Check {
  return {
    id: 'security.metrics',
    group: 'security',
    requirement: ['S2-32'],
    about: 'metrics through the edge',
    expected: 'none for addresses outside of edge.internal',
    hint: 'let no route lead to /metrics, and take public ranges out of edge.internal',
    look: async (signal) => {
      const open = internal.filter((range) => !isPrivate(range));
      if (open.length > 0) return fail(`edge.internal has public addresses: ${open.join(', ')}`);
      const { status, text } = await ask('/metrics', signal);
      return status < 400 && /^# (?:HELP|TYPE) /m.test(text)
        ? fail('a route leads /metrics to the application')
        : pass(`/metrics is answered ${status}, without any`);
    },
  };
}

/** Whether a range of addresses is one that no stranger has (RFC 1918, RFC 4193, loopback, link-local). Pure. */
export function isPrivate(range: string): boolean {
  const [address = '', bits = '32'] = range.split('/');
  if (address.includes(':')) return /^(?:::1$|f[cd]|fe[89ab])/i.test(address);
  const [a = 0, b = 0] = address.split('.').map(Number);
  const least =
    a === 10 || a === 127
      ? 8
      : a === 172 && b >= 16 && b < 32
        ? 12
        : (a === 192 && b === 168) || (a === 169 && b === 254)
          ? 16
          : a === 100 && b >= 64 && b < 128
            ? 10
            : 33;
  return Number(bits) >= least;
}
