/** Local time for the nightly backup that is as far from now as can be, so that no test meets it: `14:31`. */
export function farFromNow(): string {
  const then = new Date(Date.now() + 12 * 3_600_000);
  return [then.getHours(), then.getMinutes()].map((part) => String(part).padStart(2, '0')).join(':');
}
