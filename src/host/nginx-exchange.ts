import { z } from 'zod';

const hex = z
  .string()
  .regex(/^(?:[0-9a-f]{2})*$/)
  .transform((text) => Buffer.from(text, 'hex'));

/** A request that the edge has passed on, and what the application answered (nginx/shadow.js). */
const exchangeSchema = z.object({
  /** When it was over, milliseconds since 1970. */
  at: z.number(),
  requestId: z.string(),
  client: z.string(),
  scheme: z.string(),
  method: z.string(),
  /** Path and query as the client wrote them. */
  target: z.string(),
  /** The path, decoded, as locations are chosen by it. */
  path: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  body: hex,
  answer: z.object({
    status: z.number(),
    type: z.string(),
    encoding: z.string(),
    /** Null when it is too long to be kept. */
    body: hex.nullable(),
    seconds: z.number(),
  }),
});
export type Exchange = z.output<typeof exchangeSchema>;

/** What the edge hands over, and how many requests it did not keep since it was asked last. */
export const exchangesSchema = z.object({ missed: z.number(), exchanges: z.array(exchangeSchema) });
export type Exchanges = z.output<typeof exchangesSchema>;

/** What the edge is to keep: a share (0 to 100) of the requests of a colour, for some seconds; and how many it hands over. */
export interface ExchangeWish {
  readonly from: 'blue' | 'green';
  readonly share: number;
  readonly seconds: number;
  readonly most: number;
}
