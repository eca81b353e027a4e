import { type Binding, commonBindings } from './keys.ts';
import type { ScreenName } from './screen-names.ts';
import type { Screen } from './screens/screen.ts';

/** Which other scopes a screen has besides its own; the first that knows a key decides. */
function scopesOf({ name, kind }: Pick<Screen, 'name' | 'kind'>): readonly string[] {
  return kind === 'page' ? [name, 'everywhere'] : [name, 'moving', 'everywhere'];
}

/** Every key with what it does. What a key does, the bottom line and the help all come from it. */
export class KeyTable {
  readonly bindings: readonly Binding[];
  readonly #screens: ReadonlyMap<ScreenName, Screen>;

  /** @param chosen keys for actions, instead of those that come with the program */
  constructor(screens: readonly Screen[], chosen: ReadonlyMap<string, readonly string[]> = new Map()) {
    this.#screens = new Map(screens.map((screen) => [screen.name, screen]));
    const all: readonly Binding[] = [
      ...screens.map(({ name, key, title }) => ({
        action: `screen.${name}`,
        keys: [key],
        scope: 'everywhere',
        help: title,
      })),
      ...commonBindings,
      ...screens.flatMap(({ name, actions }) =>
        actions.map(({ name: action, keys, help, hint, changes }) => ({
          action: `${name}.${action}`,
          keys,
          scope: name,
          help,
          ...(hint === undefined ? {} : { hint }),
          changes,
        })),
      ),
    ];
    this.bindings = all.map((binding) => ({ ...binding, keys: chosen.get(binding.action) ?? binding.keys }));
  }

  /** What a key does on a screen. */
  actionFor(key: string, screen: ScreenName): Binding | undefined {
    const scopes = this.#scopes(screen);
    for (const scope of scopes) {
      const found = this.bindings.find((binding) => binding.scope === scope && binding.keys.includes(key));
      if (found) return found;
    }
    return undefined;
  }

  /** Bindings that a screen has, its own first. */
  of(screen: ScreenName): readonly Binding[] {
    return this.#scopes(screen).flatMap((scope) => this.bindings.filter((binding) => binding.scope === scope));
  }

  /** Keys that would do two things on the same screen. */
  conflicts(): readonly string[] {
    const found: string[] = [];
    for (const screen of this.#screens.values()) {
      const taken = new Map<string, Binding>();
      for (const binding of this.of(screen.name)) {
        for (const key of binding.keys) {
          const other = taken.get(key);
          // A screen may use a key of its own for what moves about elsewhere; two of the same kind are a mistake.
          if (other !== undefined && other.scope === binding.scope) {
            found.push(`${key} is both ${other.action} and ${binding.action}`);
          }
          taken.set(key, other ?? binding);
        }
      }
    }
    return [...new Set(found)];
  }

  #scopes(name: ScreenName): readonly string[] {
    const screen = this.#screens.get(name);
    return screen === undefined ? ['everywhere'] : scopesOf(screen);
  }
}
