import { isIP } from 'node:net';
import { certificateSets } from './certificates.ts';
import type { CrossIssue } from './cross-issue.ts';
import type { PathLimit } from './edge.ts';
import type { Config } from './schema.ts';

/** Milliseconds: https://hstspreload.org asks for a year. */
const yearOfPreload = 31_536_000_000;

/** What of the section `edge` is well-formed but cannot work, or contradicts itself. Pure. */
export function edgeIssues(config: Config): CrossIssue[] {
  return [
    ...portIssues(config),
    ...nameIssues(config),
    ...hstsIssues(config),
    ...frameIssues(config),
    ...corsIssues(config),
    ...rateIssues(config),
    ...addressIssues(config),
  ];
}

/** What works, but may not be meant. Pure. */
export function edgeAdvice({ edge }: Pick<Config, 'edge'>): CrossIssue[] {
  const { origins = [] } = edge.cors ?? {};
  return origins.flatMap((origin, index) =>
    origin === '*' || /^http:|\/\/(?:localhost|127\.)/.test(origin)
      ? [
          {
            path: ['edge', 'cors', 'origins', index],
            message: `${origin} is no origin of a production domain (S1-10): ${origin === '*' ? 'pages of any site may read answers' : 'whoever is on the way can speak for it'}`,
          },
        ]
      : [],
  );
}

function portIssues({ edge }: Config): CrossIssue[] {
  const parse = (listen: string) => {
    const colon = listen.lastIndexOf(':');
    return { address: listen.slice(0, Math.max(colon, 0)), port: Number(listen.slice(colon + 1)) };
  };
  const issues: CrossIssue[] = [];
  for (const key of ['http', 'https'] as const) {
    const { address, port } = parse(edge[key]);
    if (port < 1 || port > 65_535) issues.push({ path: ['edge', key], message: `${port} is no port (1 to 65535)` });
    if (!address.startsWith('[') && address.split('.').some((octet) => Number(octet) > 255))
      issues.push({ path: ['edge', key], message: `${address} is no IPv4 address` });
  }
  if (parse(edge.http).port === parse(edge.https).port)
    issues.push({ path: ['edge', 'https'], message: 'http and https need ports of their own' });
  return issues;
}

/** A host name, `*.` and a host name, or an address. */
export function isDomain(text: string): boolean {
  return isIP(text) !== 0 || /^(?:\*\.)?[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/.test(text);
}

/** An address, or a range such as 10.0.0.0/8. */
export function isRange(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  const bits = prefix === undefined || /^\d+$/.test(prefix) ? Number(prefix ?? 0) : Number.NaN;
  return family !== 0 && rest.length === 0 && bits <= (family === 4 ? 32 : 128);
}

function nameIssues({ edge }: Config): CrossIssue[] {
  const issue = (key: string, index: number, message: string) => ({ path: ['edge', key, index], message });
  return [
    ...edge.domains.flatMap((domain, index) =>
      isDomain(domain) ? [] : [issue('domains', index, `${domain} is no host name; write for example *.example.org`)],
    ),
    ...edge.internal.flatMap((range, index) =>
      isRange(range) ? [] : [issue('internal', index, `${range} is no address range; write for example 10.0.0.0/8`)],
    ),
  ];
}

function hstsIssues({ edge }: Config): CrossIssue[] {
  const { maxAge, includeSubDomains, preload } = edge.headers.hsts;
  if (!preload || (includeSubDomains && maxAge >= yearOfPreload)) return [];
  const message = 'browsers take a name into their lists only with includeSubDomains and a maxAge of 365d or more';
  return [{ path: ['edge', 'headers', 'hsts', 'preload'], message }];
}

/** Browsers that know `frame-ancestors` leave X-Frame-Options out of account, so the two must not disagree. */
function frameIssues({ edge }: Config): CrossIssue[] {
  const { frame, contentPolicy } = edge.headers;
  const ancestors = /(?:^|;)\s*frame-ancestors\s+([^;]*)/i.exec(contentPolicy.policy)?.[1]?.trim();
  if (ancestors === undefined) return [];
  const fits = { SAMEORIGIN: "'self'", DENY: "'none'", off: undefined }[frame];
  if (fits === undefined || fits === ancestors) return [];
  const message = `frame-ancestors ${ancestors} and edge.headers.frame: ${frame} say different things; write frame-ancestors ${fits}, or frame: off`;
  return [{ path: ['edge', 'headers', 'contentPolicy', 'policy'], message }];
}

/** Fetch §3.2.5: a wildcard never goes with credentials; whoever wants both means to allow everybody everything. */
function corsIssues({ edge }: Config): CrossIssue[] {
  if (!edge.cors?.origins.includes('*')) return [];
  const path = ['edge', 'cors', 'origins'];
  return [
    ...(edge.cors.credentials ? [{ path, message: '* does not go with credentials; list the origins' }] : []),
    ...(edge.cors.origins.length > 1 ? [{ path, message: '* covers all others; remove it or them' }] : []),
  ];
}

function rateIssues({ edge }: Config): CrossIssue[] {
  const seen = new Set<string>();
  return edge.rateLimits.flatMap((limit, index): CrossIssue[] => {
    const path = ['edge', 'rateLimits', index];
    const twice = seen.has(limit.path);
    seen.add(limit.path);
    if (twice) return [{ path: [...path, 'path'], message: `${limit.path} has a limit already` }];
    if ((limit.perSecond === undefined) === (limit.perMinute === undefined))
      return [{ path, message: 'write perSecond or perMinute, one of them' }];
    const most = edge.rateLimit?.perSecond;
    if (most === undefined || perMinute(limit) < most * 60) return [];
    const message = `edge.rateLimit lets ${most} a second through, so this limit is never reached`;
    return [{ path, message }];
  });
}

function perMinute({ perSecond, perMinute }: PathLimit): number {
  return perMinute ?? (perSecond ?? 0) * 60;
}

/** Who asks for an address sends no name in the handshake (RFC 6066 §3), so one certificate is for all addresses. */
function addressIssues(config: Config): CrossIssue[] {
  const bare = (domain: string) => domain.replace(/^\[|\]$/g, '');
  const withAddress = certificateSets(config).filter(({ domains }) => domains.some((one) => isIP(bare(one)) !== 0));
  const [, second] = withAddress;
  if (!second) return [];
  const message = `addresses stand in more than one certificate (${withAddress.map(({ name }) => name).join(', ')}), but whoever asks for an address gets one and the same`;
  return [{ path: ['certificates', 'sets'], message }];
}
