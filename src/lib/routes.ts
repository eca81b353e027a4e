import { z } from 'zod';

/** Which requests go to which service, and what the edge grants them. Part of a release (DESIGN §1.1). */
export const routeSchema = z.object({
  /** Prefix of the request path; the longest match wins. */
  path: z.string(),
  service: z.string(),
  /** Where the service listens inside its container. */
  port: z.int(),
  /** Milliseconds for which the edge waits for an answer. */
  timeout: z.number(),
  /** Bytes of the largest request body. */
  maxBody: z.number(),
});
export type Route = z.output<typeof routeSchema>;

/** The route of a path: the longest prefix wins. */
export function routeFor(routes: readonly Route[], path: string): Route | undefined {
  return routes
    .filter((route) => path.startsWith(route.path))
    .reduce<Route | undefined>(
      (best, route) => (best && best.path.length >= route.path.length ? best : route),
      undefined,
    );
}

/** What is known of a service that may answer for its release. */
interface Probed {
  readonly name: string;
  readonly probe: { readonly type: string; readonly port: number; readonly path: string } | null;
}

/** A path that a healthy application answers: that of an HTTP probe where the routes lead to it, else the first route's. */
export function proofPath(routes: readonly Route[], services: readonly Probed[]): string {
  for (const { name, probe } of services) {
    if (probe?.type !== 'http') continue;
    const route = routeFor(routes, probe.path);
    if (route?.service === name && route.port === probe.port) return probe.path;
  }
  return routes[0]?.path ?? '/';
}
