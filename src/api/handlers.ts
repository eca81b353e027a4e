import type { Endpoint, endpoints } from './endpoints.ts';
import type { Output, ParsedInput, RouteName } from './routes.ts';
import type { Actor } from './schema.ts';

/** Who asks, as far as it is proven, and when they stop listening. */
export interface Caller {
  readonly actor: Actor;
  readonly access: Endpoint['access'];
  /** Aborts when the caller hangs up. An operation goes on; a stream ends. */
  readonly signal: AbortSignal;
}

type Endpoints = typeof endpoints;

/** What answers each request: one document, or a stream of them. The type makes sure that no route is forgotten. */
export type Handlers = {
  readonly [Name in RouteName]: (
    input: ParsedInput<Name>,
    caller: Caller,
  ) => Endpoints[Name]['stream'] extends true ? AsyncIterable<Output<Name>> : Promise<Output<Name>>;
};
