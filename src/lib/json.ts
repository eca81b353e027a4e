import { z } from 'zod';

/** A text that is to be JSON of a shape. What is no JSON fails like what has another shape: neither throws in `safeParse`. */
export function jsonText<Shape extends z.ZodType>(shape: Shape) {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue('it is no JSON');
        return z.NEVER;
      }
    })
    .pipe(shape);
}
