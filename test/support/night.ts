import { weekdays } from '../../src/config/backups.ts';

/** Times for what the clock runs by itself that are as far from now as can be, so that no test meets it; part of `backups`. */
export function farFromNow(now = new Date()) {
  const then = new Date(now.getTime() + 12 * 3_600_000);
  const at = [then.getHours(), then.getMinutes()].map((part) => String(part).padStart(2, '0')).join(':');
  return { at, drill: { weekday: weekdays[(now.getDay() + 3) % 7] } };
}
