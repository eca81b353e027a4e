import type { Colour, Weights } from '../lib/colour.ts';
import type { Topology } from '../lib/topology.ts';

/** What a planner knows of one release. */
export interface ReleaseFacts {
  readonly id: string;
  readonly tag: string;
  readonly schema: { readonly version: number; readonly readableFrom: number } | null;
  readonly migrates: boolean;
  /** Whether all of its images are on this host. */
  readonly imagesPresent: boolean;
}

/** What stands on one colour right now. */
export interface ColourFacts {
  /** Release that its containers belong to; null when there are none, or of more than one. */
  readonly release: string | null;
  /** Containers exist, stopped ones included. */
  readonly occupied: boolean;
  /** All containers of the release run, and none says that it is unhealthy. */
  readonly running: boolean;
  readonly topology: Topology | null;
}

export interface LiveFacts {
  readonly release: string;
  readonly tag: string;
  readonly colour: Colour;
  readonly since: number;
}

/** The machine as the planners see it. */
export interface Observed {
  /** When it was looked at, in milliseconds since 1970. */
  readonly at: number;
  readonly live: LiveFacts | null;
  readonly colours: Readonly<Record<Colour, ColourFacts>>;
  /** What the edge does; null when it does not answer. */
  readonly weights: Weights | null;
}
