import type { Dialog } from '../state.ts';

/** Whether the button that goes on may be used: the plan is there and has something to do, and the name is right. */
export function mayGo({ order, plan, typed }: Dialog): boolean {
  if (order.plan !== undefined && (plan === undefined || plan === 'asking' || 'message' in plan)) return false;
  if (order.plan !== undefined && typeof plan === 'object' && 'steps' in plan && plan.steps.length === 0) return false;
  return order.severity !== 'severe' || typed === order.name;
}

/**
 * Where a text stands after a key that scrolls it; undefined when it is none.
 * @param room lines of a page
 * @param most how far it can be scrolled
 */
export function scrollOf(action: string, top: number, room: number, most: number): number | undefined {
  const steps: Readonly<Record<string, number>> = {
    up: -1,
    down: 1,
    '↑': -1,
    '↓': 1,
    'Wheel-Up': -3,
    'Wheel-Down': 3,
    'page-up': -room,
    'page-down': room,
    PgUp: -room,
    PgDn: room,
    first: Number.NEGATIVE_INFINITY,
    last: Number.POSITIVE_INFINITY,
  };
  const step = steps[action];
  return step === undefined ? undefined : Math.max(0, Math.min(most, top + step));
}
