import { z } from 'zod';
import type { Clock } from '../lib/clock.ts';
import type { Finding } from '../lib/verdict.ts';

/**
 * One printable line of a plan. It is data: it stands in the journal, and after a crash it is bound to the same code
 * again (DESIGN §1.2).
 */
export const plannedStepSchema = z.object({
  /** Name of the step type, for example `start-colour`. */
  action: z.string(),
  /** What it does, for people: `start green with v1.0`. */
  title: z.string(),
  /** Why the planner put it there. */
  cause: z.string(),
  /** What the step type needs, as JSON. Never a secret: the plan is shown and kept. */
  args: z.unknown(),
  /**
   * The step that changes what users get. A crash before it is undone, a crash from it on is finished
   * (the pivot transaction of the saga pattern).
   */
  pivot: z.boolean().default(false),
  /** A failure of this step is reported but does not fail the operation (retention, for example). */
  optional: z.boolean().default(false),
  /** How long the step may take, in milliseconds. */
  deadline: z.number().positive(),
});
export type PlannedStep = z.output<typeof plannedStepSchema>;

/** What a running step is given. */
export interface StepContext {
  /** Id of the operation in the journal. */
  readonly operation: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Tells people what is going on, at most a line at a time. */
  progress(text: string): void;
}

/** A step type bound to its arguments. Each part is idempotent, because a step that was cut short is simply run again. */
export interface BoundStep {
  /** @returns a line about what was done */
  apply(context: StepContext): Promise<string>;
  /** Looks at the machine, not at what apply believes. Left out where apply itself can only succeed by proof. */
  verify?(context: StepContext): Promise<Finding>;
  /** Takes back what apply did, also when apply was cut short or never began. */
  undo?(context: StepContext): Promise<void>;
  /** What stays as apply left it although the step was undone, for people; null when nothing does. */
  lasting?(): string | null;
}

/** A step type: a name, the shape of its arguments, and what it does with them. */
export interface StepType<Args> {
  readonly action: string;
  plan(args: Args, about: StepAbout): PlannedStep;
  bind(args: unknown): BoundStep;
}

interface StepAbout {
  readonly title: string;
  readonly cause: string;
  readonly pivot?: boolean;
  readonly optional?: boolean;
  /** Milliseconds. Default: 60,000. */
  readonly deadline?: number;
}

interface StepDefinition<Args> {
  readonly action: string;
  readonly args: z.ZodType<Args>;
  apply(args: Args, context: StepContext): Promise<string>;
  verify?(args: Args, context: StepContext): Promise<Finding>;
  undo?(args: Args, context: StepContext): Promise<void>;
  lasting?(args: Args): string | null;
}

/** Makes a step type out of a definition; the arguments that come back from the journal are parsed again. */
export function defineStep<Args>(definition: StepDefinition<Args>): StepType<Args> {
  const { verify, undo, lasting } = definition;
  return {
    action: definition.action,
    plan: (args, about) => ({
      action: definition.action,
      args,
      title: about.title,
      cause: about.cause,
      pivot: about.pivot ?? false,
      optional: about.optional ?? false,
      deadline: about.deadline ?? 60_000,
    }),
    bind: (raw) => {
      const args = definition.args.parse(raw);
      return {
        apply: (context) => definition.apply(args, context),
        ...(verify ? { verify: (context: StepContext) => verify(args, context) } : {}),
        ...(undo ? { undo: (context: StepContext) => undo(args, context) } : {}),
        ...(lasting ? { lasting: () => lasting(args) } : {}),
      };
    },
  };
}
