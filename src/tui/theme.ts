/**
 * The colours of the screens on a light background. They are named as on a dark one; of those, yellow, cyan and the
 * bright blue cannot be read on white.
 */
const onLight: Readonly<Record<string, string>> = {
  yellow: '#8a5a00',
  cyan: '#00687a',
  green: '#1a7f37',
  blueBright: 'blue',
  gray: '#57606a',
};

/** The colour that a terminal is sent. @param name as segments have it */
export function colorFor(name: string | undefined, theme: 'dark' | 'light'): string | undefined {
  return name === undefined || theme === 'dark' ? name : (onLight[name] ?? name);
}
