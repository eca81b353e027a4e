/** Colours of meanings. Each stands beside a sign that says the same. */
export const verdictColors = { pass: 'green', fail: 'red', inconclusive: 'yellow' } as const;
export const conditionColors = { ...verdictColors, running: 'cyan', skipped: 'gray' } as const;

/** A colour of DESIGN §3 as the terminal shows it; the plain blue of many terminals cannot be read on black. */
export function colourOf(colour: 'blue' | 'green' | null): string | undefined {
  if (colour === null) return undefined;
  return colour === 'blue' ? 'blueBright' : 'green';
}

/** A time as people read it: `2030-01-12 09:31 UTC`. @param time RFC 3339 in UTC */
export function utcOf(time: string): string {
  return `${time.slice(0, 16).replace('T', ' ')} UTC`;
}
