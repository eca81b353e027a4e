/** The two sides that the app project alternates between (DESIGN §3). */
export const colours = ['blue', 'green'] as const;
export type Colour = (typeof colours)[number];

export function otherColour(colour: Colour): Colour {
  return colour === 'blue' ? 'green' : 'blue';
}

/** Share of new requests that each colour gets, 0 to 100; the two add up to 100. */
export type Weights = Readonly<Record<Colour, number>>;

/** All traffic on one colour. */
export function allOn(colour: Colour): Weights {
  return colour === 'blue' ? { blue: 100, green: 0 } : { blue: 0, green: 100 };
}
