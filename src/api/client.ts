import type { Endpoint } from './endpoints.ts';
import type { Input, Output, RouteName } from './routes.ts';

/**
 * What a face talks to: an agent on its socket, or the same code hosted in this very process when no agent runs. Faces
 * cannot tell the difference.
 */
export interface Client {
  /** `agent` when a running agent answers, `in-process` when this command hosts the work itself. */
  readonly host: 'agent' | 'in-process';
  /** What the caller may do: a viewer is refused whatever changes something. */
  readonly access: Endpoint['access'];
  /**
   * Asks for one document.
   * @throws ApplianceError as the agent answered it
   */
  ask<Name extends RouteName>(name: Name, input: Input<Name>, signal?: AbortSignal): Promise<Output<Name>>;
  /**
   * Asks for a stream of documents, one at a time, until it ends.
   *
   * The signal means "I no longer want this". A stream of an agent then simply ends, and an operation goes on in the
   * agent. An operation that this process hosts is told to stop and take back what it did; its stream goes on until
   * `operation-ended`.
   * @throws ApplianceError as the agent answered it
   */
  stream<Name extends RouteName>(name: Name, input: Input<Name>, signal?: AbortSignal): AsyncIterable<Output<Name>>;
  close(): Promise<void>;
}

/** How a face comes by a client; given to the command line by src/main.ts. */
export type Connect = (options: {
  readonly root: string | undefined;
  readonly allowInProcess: boolean;
}) => Promise<Client>;
