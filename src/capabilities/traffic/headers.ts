import type { Cors, EdgeHeaders } from '../../config/edge-headers.ts';
import type { Config } from '../../config/schema.ts';
import { map, quote } from './nginx-text.ts';

/** Which listener a server block belongs to. RFC 6797 §7.2: no HSTS over plain HTTP. */
export type Scheme = 'http' | 'https';

type Header = readonly [name: string, value: string];

/** Headers that the edge adds to every answer (S1-18), level by level. */
export interface HeaderLines {
  /** Maps that the headers need, for the http block. */
  readonly maps: readonly string[];
  /** Headers of the application that are replaced by the edge's own. */
  readonly hidden: readonly string[];
  /**
   * `add_header` lines for one level. nginx inherits them only where a level has none of its own, so a location that
   * adds one repeats all.
   * @param extra further headers of that level, as name and value
   * @param release value of `X-Appliance-Release`
   */
  add(scheme: Scheme, extra?: readonly Header[], release?: string): string[];
}

/** The headers of a configuration. What costs something for each request is there only where it is asked for. Pure. */
export function headersOf({ edge }: Pick<Config, 'edge'>): HeaderLines {
  const { headers } = edge;
  const cors = corsLines(edge.cors);
  const frame: readonly Header[] = headers.frame === 'off' ? [] : [['X-Frame-Options', headers.frame]];
  const fixed: readonly Header[] = [
    ['X-Content-Type-Options', 'nosniff'],
    ...frame,
    ...contentPolicyHeader(headers),
    ['Referrer-Policy', headers.referrer],
    ['Permissions-Policy', quote(headers.permissions)],
  ];
  const overTls: readonly Header[] = [['Strict-Transport-Security', hstsValue(headers)]];
  return {
    maps: [
      ...contentPolicyMap(headers),
      // What the application itself says its release is: evidence for internal addresses that ask for it.
      'map $appliance_internal $appliance_evidence { 1 $upstream_http_x_appliance_release; default ""; }',
      'map $http_x_appliance_preview $appliance_upstream_release { "" ""; default $appliance_evidence; }',
      ...cors.maps,
    ],
    hidden: [
      'X-Appliance-Release',
      'X-Request-Id',
      'X-Content-Type-Options',
      ...frame.map(([name]) => name),
      'Referrer-Policy',
      'Permissions-Policy',
      'Strict-Transport-Security',
      ...cors.hidden,
    ],
    add: (scheme, extra = [], release = '$appliance_release') => {
      const first: readonly Header[] = [
        ['X-Appliance-Release', release],
        ['X-Request-Id', '$appliance_request_id'],
      ];
      const all = [...first, ...fixed, ...(scheme === 'https' ? overTls : []), ...cors.headers, ...extra];
      return all.map(([name, value]) => `add_header ${name} ${value} always;`);
    },
  };
}

/** RFC 6797 §6.1. */
function hstsValue({ hsts }: EdgeHeaders): string {
  const parts = [`max-age=${Math.floor(hsts.maxAge / 1_000)}`];
  if (hsts.includeSubDomains) parts.push('includeSubDomains');
  if (hsts.preload) parts.push('preload');
  return quote(parts.join('; '));
}

/**
 * An application that sets a policy of its own keeps it, because the edge cannot know what its pages load. Browsers leave
 * `frame-ancestors` out of a policy that only reports; until it is enforced, X-Frame-Options says the same.
 */
function contentPolicyMap({ contentPolicy, frame }: EdgeHeaders): string[] {
  const { mode, policy, report } = contentPolicy;
  if (mode === 'off') return [];
  const ancestors = { SAMEORIGIN: "frame-ancestors 'self'", DENY: "frame-ancestors 'none'", off: undefined }[frame];
  const parts = [
    policy.replace(/[;\s]+$/, ''),
    ...(ancestors === undefined || /frame-ancestors/i.test(policy) ? [] : [ancestors]),
    ...(report === undefined ? [] : [`report-uri ${report}`]),
  ];
  const value = quote(parts.join('; '));
  return [`map $upstream_http_content_security_policy $appliance_content_policy { "" ${value}; default ""; }`];
}

function contentPolicyHeader({ contentPolicy: { mode } }: EdgeHeaders): readonly Header[] {
  if (mode === 'off') return [];
  const name = mode === 'enforce' ? 'Content-Security-Policy' : 'Content-Security-Policy-Report-Only';
  return [[name, '$appliance_content_policy']];
}

interface CorsLines {
  readonly maps: readonly string[];
  readonly hidden: readonly string[];
  readonly headers: readonly Header[];
}

/**
 * Which other origins may read an answer (S1-10, Fetch §3.2). The application decides; what it allows to an origin that is
 * not listed is taken back. What it allows to all is passed on to a listed origin by its name, without credentials.
 */
function corsLines(cors: Cors | undefined): CorsLines {
  const credentials = 'Access-Control-Allow-Credentials';
  const origin = 'Access-Control-Allow-Origin';
  if (!cors) return { maps: [], hidden: [], headers: [] };
  if (cors.origins.includes('*')) return { maps: [], hidden: [credentials], headers: [] };
  const entries = cors.origins.map((one) => [quote(one), quote(one)] as const);
  const fallback = ['default', '""'] as const;
  const maps = [
    map('$http_origin', 'appliance_listed_origin', [...entries, fallback]),
    map('$upstream_http_access_control_allow_origin', 'appliance_allow_origin', [
      ['""', '""'],
      ['default', '$appliance_listed_origin'],
    ]),
  ];
  const allowOrigin: readonly Header[] = [
    [origin, '$appliance_allow_origin'],
    ['Vary', '$appliance_vary_origin'],
  ];
  const vary = map('$upstream_http_access_control_allow_origin', 'appliance_vary_origin', [
    ['""', '""'],
    ['default', 'Origin'],
  ]);
  if (!cors.credentials) return { maps: [...maps, vary], hidden: [origin, credentials], headers: allowOrigin };
  return {
    maps: [
      ...maps,
      vary,
      map('$appliance_listed_origin', 'appliance_listed_credentials', [
        ['""', '""'],
        ['default', '$upstream_http_access_control_allow_credentials'],
      ]),
      map('$upstream_http_access_control_allow_origin', 'appliance_allow_credentials', [
        ['"*"', '""'],
        ['default', '$appliance_listed_credentials'],
      ]),
    ],
    hidden: [origin, credentials],
    headers: [...allowOrigin, [credentials, '$appliance_allow_credentials']],
  };
}
