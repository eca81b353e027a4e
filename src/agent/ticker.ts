import { type Logger, schedule } from 'node-cron';

/** A tick that comes late or not at all is nobody's concern: the next one sees what is due. */
const quiet: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };

/**
 * Ticks at once, then every minute until the signal aborts. node-cron drops an event that is more than a second late and
 * knows nothing of nights before it was started, so it decides nothing (docs/decisions/0017-schedule.md).
 */
export function everyMinute(tick: () => void, signal: AbortSignal): void {
  if (signal.aborted) return;
  const task = schedule('* * * * *', tick, { name: 'schedule', logger: quiet, suppressMissedWarning: true });
  signal.addEventListener('abort', () => void task.destroy(), { once: true });
  tick();
}
