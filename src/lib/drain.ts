import { z } from 'zod';
import { type Colour, colours } from './colour.ts';
import { formatDuration } from './units.ts';

/** A request that was still being answered when the time for it was over. */
const openRequestSchema = z.object({
  /** Address of the client. */
  client: z.string(),
  method: z.string(),
  /** Without the query string, in which secrets travel. */
  path: z.string(),
  /** How long it had been open when it ended. */
  seconds: z.number(),
});
export type OpenRequest = z.output<typeof openRequestSchema>;

/** What became of the requests that a colour was answering when it was taken out of service. */
export const drainSchema = z.object({
  colour: z.enum(colours),
  /** How long they were waited for, and how long they could have been. */
  seconds: z.number(),
  limitSeconds: z.number(),
  /** Connections from the edge that were still open at the end; null where nobody could look. */
  open: z.number().nullable(),
  /** Who they were, as far as the edge could still say it; the longest first, at most 100. */
  requests: z.array(openRequestSchema),
});
export type DrainReport = z.output<typeof drainSchema>;

/** A colour that is to be stopped once it has answered. */
export interface DrainWish {
  readonly colour: Colour;
  /** Addresses of its containers. */
  readonly addresses: readonly string[];
  /** Milliseconds that requests in flight may take. */
  readonly limit: number;
  /** Stops its containers. @param left milliseconds of the limit that are left for them */
  readonly stop: (left: number) => Promise<void>;
}

/** Most requests that are named in one line. */
const named = 3;

/** `2 requests were still open after 60.0 s: GET /stream from 10.0.0.5 (1 min 12 s), …` */
export function describeDrain({ open, seconds, requests }: DrainReport): string {
  const after = formatDuration(seconds * 1_000);
  if (open === null) return 'who was still connected could not be seen';
  if (open === 0) return `nothing was in flight any more after ${after}`;
  const shown = requests
    .slice(0, named)
    .map(
      ({ client, method, path, seconds: age }) => `${method} ${path} from ${client} (${formatDuration(age * 1_000)})`,
    );
  const more = open - shown.length;
  const rest = more > 0 ? [shown.length === 0 ? 'the access log does not say whose' : `${more} more`] : [];
  const count = open === 1 ? '1 connection was' : `${open} connections were`;
  return `${count} still open after ${after} and had to end: ${[...shown, ...rest].join(', ')}`;
}
