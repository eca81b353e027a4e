import type { Intent } from '../order.ts';
import { alertOrders } from '../orders/alerts.ts';
import { backupOrders } from '../orders/backups.ts';
import { certificateOrders } from '../orders/certificates.ts';
import { modelOrders } from '../orders/models.ts';
import { deployWish, releaseOrders } from '../orders/releases.ts';
import { rolloutOrders } from '../orders/rollout.ts';
import { scheduleOrders } from '../orders/schedule.ts';
import { stackOrders } from '../orders/stack.ts';
import { word } from '../orders/word.ts';
import type { Screen } from '../screens/screen.ts';
import type { State } from '../state.ts';

/** A verb of the command line, as the palette is given it. */
export interface PaletteVerb {
  /** `releases show` */
  readonly name: string;
  /** `<tag> [--plan]` */
  readonly usage: string;
  readonly summary: string;
  /** Arguments that it cannot do without. */
  readonly required: number;
}

export interface Choice {
  readonly name: string;
  readonly usage: string;
  readonly summary: string;
  readonly verb?: PaletteVerb;
  readonly screen?: Screen;
}

/**
 * How well a text is meant by what was typed: all letters in order; better where they stand together and at the
 * beginnings of words.
 * @returns undefined when it is not meant at all
 */
export function fuzzyScore(typed: string, text: string): number | undefined {
  const wanted = typed.toLowerCase();
  const inside = text.toLowerCase();
  const at = inside.indexOf(wanted);
  if (at >= 0) return 1_000 - at * 4 - inside.length;
  let score = 0;
  let place = -1;
  for (const letter of wanted) {
    if (letter === ' ') continue;
    const next = inside.indexOf(letter, place + 1);
    if (next < 0) return undefined;
    const begins = next === 0 || inside[next - 1] === ' ' || inside[next - 1] === '-';
    score += next === place + 1 ? 8 : begins ? 6 : 1;
    score -= Math.min(4, next - place - 1);
    place = next;
  }
  return score - inside.length;
}

/** What fits to the text that was typed, the best first: a verb by its name and what it is about, or a screen. */
export function choicesFor(text: string, verbs: readonly PaletteVerb[], screens: readonly Screen[]): readonly Choice[] {
  const typed = text.trimStart();
  const all: readonly Choice[] = [
    ...verbs.map((verb) => ({ name: verb.name, usage: verb.usage, summary: verb.summary, verb })),
    ...screens.map((screen) => ({ name: `screen ${screen.name}`, usage: '', summary: `open ${screen.title}`, screen })),
  ];
  if (typed.trim() === '') return all;
  const exact = verbOf(typed, verbs);
  return all
    .flatMap((choice) => {
      // What follows a verb are its arguments.
      if (choice.verb !== undefined && choice.verb === exact) return [{ choice, score: 10_000 }];
      const byName = fuzzyScore(typed.trim(), choice.name);
      const bySummary =
        typed.trim().length > 2 && choice.summary.toLowerCase().includes(typed.trim().toLowerCase()) ? -200 : undefined;
      const score = byName ?? bySummary;
      return score === undefined ? [] : [{ choice, score }];
    })
    .sort((a, b) => b.score - a.score)
    .map(({ choice }) => choice);
}

/** The verb that a line begins with; of `releases` and `releases show` the longer one. */
export function verbOf(line: string, verbs: readonly PaletteVerb[]): PaletteVerb | undefined {
  const text = `${line.trim()} `;
  return verbs
    .filter(({ name }) => text.startsWith(`${name} `))
    .reduce<PaletteVerb | undefined>(
      (best, verb) => (verb.name.length > (best?.name.length ?? 0) ? verb : best),
      undefined,
    );
}

/** Words of a line, as a shell would split it: quotes keep blanks together. Nothing is expanded. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  for (const match of line.matchAll(/(?:'[^']*'?|"[^"]*"?|[^\s'"])+/g)) {
    words.push(match[0].replace(/'([^']*)'?|"([^"]*)"?/g, (_, single, double) => single ?? double ?? ''));
  }
  return words;
}

/** Verbs that change nothing. Another one is asked about before it runs. */
export const harmless: ReadonlySet<string> = new Set([
  ...['plan', 'releases', 'releases show', 'releases diff', 'follow', 'operations'],
  ...['status', 'ps', 'stats', 'logs', 'alerts', 'alerts list'],
  ...['models list', 'models show', 'models verify', 'models history', 'models diff', 'models scan'],
  ...['backup list', 'backup show', 'certs', 'certs status', 'schedule', 'schedule list'],
  ...['config check', 'config show', 'config schema', 'config policies', 'audit', 'audit verify'],
  ...['doctor', 'report', 'support-bundle', 'version', 'completion', 'help'],
]);

/**
 * What a line of the palette means. What the screens can do themselves, they do, with their dialogs; everything else
 * runs as it would in a shell, on the terminal that the screens hand over meanwhile.
 */
export function intentOf(line: string, verbs: readonly PaletteVerb[], state: State): Intent {
  const words = splitWords(line);
  if (words[0] === 'appliance') words.shift();
  const verb = verbOf(words.join(' '), verbs);
  if (verb === undefined)
    return { kind: 'say', text: `There is no verb "${line.trim()}"; Tab completes the marked one.` };
  const rest = words.slice(verb.name.split(' ').length);
  if (rest.filter((text) => !text.startsWith('-')).length < verb.required) {
    return { kind: 'say', text: `It wants more: appliance ${verb.name} ${verb.usage}` };
  }
  const wish = verb.name === 'deploy' ? deployWish(rest) : undefined;
  if (wish) return { kind: 'order', order: releaseOrders.deploy(wish.tag, wish.policy) };
  const own = rest.some((text) => text.startsWith('-')) ? undefined : ownOrder(verb.name, rest, state);
  if (own) return own;
  const looks = harmless.has(verb.name) && !rest.includes('--fix');
  if (verb.name === 'exec' || looks || rest.includes('--plan')) return { kind: 'shell', words };
  const command = `appliance ${words.map(word).join(' ')}`;
  return {
    kind: 'order',
    order: {
      command,
      happens: [
        verb.summary[0]?.toUpperCase() + verb.summary.slice(1),
        'The screens hand the terminal over until it has ended.',
      ],
      severity: 'destructive',
      instead: { kind: 'shell', words },
      send: async () => ({ verdict: 'pass', text: command }),
    },
  };
}

function ownOrder(name: string, [first, second]: readonly string[], state: State): Intent | undefined {
  const { status } = state;
  if (second !== undefined) return undefined;
  const order = (() => {
    switch (name) {
      case 'rollback':
        return releaseOrders.rollback(first);
      case 'releases prune':
        return releaseOrders.prune();
      case 'releases pin':
      case 'releases unpin':
        return first === undefined ? undefined : releaseOrders.pin(first, name === 'releases pin');
      case 'pause':
        return rolloutOrders.pause(state);
      case 'resume':
        return rolloutOrders.resume(state);
      case 'promote':
        return rolloutOrders.promote(false, state);
      case 'abort':
        return rolloutOrders.abort(status?.rollout?.from ?? null, state);
      case 'restart':
        return stackOrders.restart(first, state);
      case 'up':
        return stackOrders.up(state);
      case 'down':
        return status === undefined ? undefined : stackOrders.down(status.name, state);
      case 'models promote':
        return first === undefined ? undefined : modelOrders.promote(first, state);
      case 'models rollback':
        return modelOrders.rollback(first, state);
      case 'models retrain':
        return modelOrders.retrain();
      case 'backup now':
        return first === undefined ? backupOrders.now() : undefined;
      case 'backup drill':
        return first === undefined ? backupOrders.drill('latest') : undefined;
      case 'backup protect':
      case 'backup unprotect':
        return first === undefined ? undefined : backupOrders.protect(first, name === 'backup protect');
      case 'backup restore':
        // What is agreed to is what was shown; `latest` may be another one by then, and the command line knows how.
        if (first === undefined || first === 'latest' || status === undefined) return undefined;
        return backupOrders.restore(first, 'all', status.name);
      case 'certs issue':
        return first === undefined ? undefined : certificateOrders.issue(first);
      case 'certs dry-run':
        return first === undefined ? undefined : certificateOrders.dryRun(first);
      case 'schedule run': {
        const job = state.documents.backups?.data?.jobs.find(({ name: known }) => known === first);
        return job && scheduleOrders.run(job, state);
      }
      case 'alerts drill':
        return first === undefined ? undefined : alertOrders.drill(first);
      default:
        return undefined;
    }
  })();
  return order === undefined ? undefined : { kind: 'order', order };
}
