import { rolloutLine, titleOf } from '../api/describe.ts';
import type { ApplianceEvent, RunningOperation } from '../api/schema.ts';

type StepState = Extract<ApplianceEvent, { event: 'step' }>['state'];

export interface LiveStep {
  readonly title: string;
  readonly state: StepState | 'pending';
  readonly seconds: number;
}

/** A running operation as its events tell it. */
export interface LiveOperation {
  readonly id: string;
  readonly title: string;
  readonly user: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** What is being done right now. */
  readonly step: string;
  readonly detail: string;
  /** 0 to 1. */
  readonly progress: number;
  /** Empty until the plan is known. */
  readonly steps: readonly LiveStep[];
  readonly goingBack: boolean;
}

/** What an event makes of the operation that was running before it; undefined when nothing runs any more. */
export function follow(current: LiveOperation | undefined, event: ApplianceEvent): LiveOperation | undefined {
  if (event.event === 'status') return current;
  if (event.event === 'operation-started') {
    return {
      id: event.operation,
      title: titleOf(event.kind, event.target),
      user: event.actor.user,
      startedAt: Date.parse(event.time),
      step: 'planning',
      detail: '',
      progress: 0,
      steps: [],
      goingBack: false,
    };
  }
  if (current?.id !== event.operation) return current;
  switch (event.event) {
    case 'planned':
      return { ...current, steps: event.steps.map(({ title }) => ({ title, state: 'pending', seconds: 0 })) };
    case 'progress':
      return { ...current, detail: event.text };
    case 'rollout':
      return { ...current, detail: rolloutLine(event.rollout) };
    case 'step':
      return withStep(current, event);
    case 'operation-ended':
      return undefined;
  }
}

function withStep(current: LiveOperation, event: Extract<ApplianceEvent, { event: 'step' }>): LiveOperation {
  const { index, title, state, seconds, detail } = event;
  const steps = current.steps.map((step, at) => (at === index ? { title, state, seconds } : step));
  const done = steps.filter((step) => step.state === 'done').length;
  return {
    ...current,
    steps,
    step: title,
    detail,
    progress: steps.length === 0 ? current.progress : done / steps.length,
    goingBack: state === 'failed' || state === 'undoing' || state === 'undone',
  };
}

/** The same from a status, for those who join in the middle. */
export function fromStatus(
  running: RunningOperation | null,
  known: LiveOperation | undefined,
): LiveOperation | undefined {
  if (running === null) return undefined;
  if (known?.id === running.id) return known;
  return {
    id: running.id,
    title: running.kind,
    user: running.actor.user,
    startedAt: Date.parse(running.startedAt),
    step: running.step ?? 'planning',
    detail: '',
    progress: running.progress / 100,
    steps: [],
    goingBack: false,
  };
}
