/**
 * Headers that the edge adds to every answer (S1-18). An application that sets its own content policy keeps
 * it, because the edge cannot know what its pages load; of the others the edge's replace the application's.
 */
const contentPolicy = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'self'",
].join('; ');

/** Maps that the headers need, for the http block. */
export const headerMaps: readonly string[] = [
  `map $upstream_http_content_security_policy $appliance_content_policy { "" "${contentPolicy}"; default ""; }`,
  // What the application itself says its release is: evidence for internal addresses that ask for it.
  'map $appliance_internal $appliance_evidence { 1 $upstream_http_x_appliance_release; default ""; }',
  'map $http_x_appliance_preview $appliance_upstream_release { "" ""; default $appliance_evidence; }',
];

/** Upstream headers that are replaced by the edge's own. */
export const hiddenHeaders: readonly string[] = [
  'X-Appliance-Release',
  'X-Request-Id',
  'X-Content-Type-Options',
  'X-Frame-Options',
  'Referrer-Policy',
  'Permissions-Policy',
  'Strict-Transport-Security',
];

/** Which listener a server block belongs to. RFC 6797 §7.2: no HSTS over plain HTTP. */
export type Scheme = 'http' | 'https';

/**
 * `add_header` lines for one level. nginx inherits them only where a level has none of its own, so a location that
 * adds one repeats all.
 * @param extra further headers of that level, as name and value
 * @param release value of `X-Appliance-Release`
 */
export function addHeaders(
  scheme: Scheme,
  extra: readonly (readonly [string, string])[] = [],
  release = '$appliance_release',
): string[] {
  const all: (readonly [string, string])[] = [
    ['X-Appliance-Release', release],
    ['X-Request-Id', '$appliance_request_id'],
    ['X-Content-Type-Options', 'nosniff'],
    ['X-Frame-Options', 'SAMEORIGIN'],
    ['Content-Security-Policy', '$appliance_content_policy'],
    ['Referrer-Policy', 'strict-origin-when-cross-origin'],
    ['Permissions-Policy', '"camera=(), geolocation=(), microphone=()"'],
    ...(scheme === 'https' ? ([['Strict-Transport-Security', '"max-age=31536000"']] as const) : []),
    ...extra,
  ];
  return all.map(([name, value]) => `add_header ${name} ${value} always;`);
}
