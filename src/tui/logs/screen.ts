import type { Intent } from '../order.ts';
import type { Screen, ScreenAction } from '../screens/screen.ts';
import { logLines } from './lines.ts';

/** Keys of the logs that `update.ts` answers by itself. */
const looking = (name: string, keys: readonly string[], help: string, hint?: string): ScreenAction => ({
  name,
  keys,
  help,
  ...(hint === undefined ? {} : { hint }),
  changes: false,
  act: (): Intent => ({ kind: 'show', screen: 'logs' }),
});

/** What the services write. */
export const logsScreen: Screen = {
  name: 'logs',
  title: 'Logs',
  key: '3',
  kind: 'logs',
  actions: [
    looking('follow', ['f'], 'the newest line; follow again', 'follow'),
    looking('next-service', ['s'], 'the next service; all services come first', 'service'),
    looking('previous-service', ['S'], 'the service before'),
    looking('level', ['e'], 'all but debug, warnings and errors, errors alone, all', 'levels'),
    looking('search', ['\\', 'Ctrl-F'], 'search and highlight; n older, N newer', 'search'),
    looking('older', ['n'], 'the next older line that the search finds'),
    looking('newer', ['N'], 'the next newer line that the search finds'),
    looking('left', ['←', 'h'], 'show what is further left in long lines'),
    looking('right', ['→', 'l'], 'show what is further right in long lines'),
    looking('wrap', ['w'], 'wrap long lines, or cut them', 'wrap'),
    looking('times', ['t'], 'show the time of each line'),
    looking('json', ['J'], 'lines of JSON as they came, or for people'),
    {
      name: 'save',
      keys: ['o'],
      help: 'save the lines that match to a file',
      hint: 'save',
      changes: false,
      act: ({ view, now }): Intent => ({
        kind: 'ask',
        label: 'file to save the lines to',
        text: `${view.logs.service ?? 'appliance'}-${new Date(now).toISOString().slice(0, 19).replaceAll(':', '')}.log`,
        next: (path) => ({ kind: 'save', path: path.trim() }),
      }),
    },
    {
      name: 'copy',
      keys: ['y'],
      help: 'copy the lines on the screen to the clipboard of your terminal',
      hint: 'copy',
      changes: false,
      act: (): Intent => ({ kind: 'copy' }),
    },
  ],
  lines: logLines,
};
