import { wrap } from '../../lib/text.ts';
import { blank, bold, dim, type Glyphs, type Line, plain } from '../line.ts';
import type { State } from '../state.ts';
import type { Room } from './columns.ts';

/** What stands on the overview before an agent has answered: how to get one. */
export function waitingLines({ link, now }: State, { width }: Room, glyphs: Glyphs): Line[] {
  if (link.kind === 'connecting' || link.kind === 'up') return [blank, [dim('  connecting to the agent')]];
  const left = Math.max(0, Math.ceil((link.retryAt - now) / 1_000));
  return [
    blank,
    [
      { text: ` ${glyphs.inconclusive} `, color: 'yellow', bold: true },
      bold(link.code === 'agent_unreachable' ? 'No agent is running.' : 'The agent cannot be used.'),
    ],
    ...(link.code === 'agent_unreachable' ? [] : wrap(link.message, width - 4).map((line) => [dim(`   ${line}`)])),
    blank,
    plain('   To start it:'),
    [dim('     under systemd   '), bold('systemctl start appliance')],
    [dim('     otherwise       '), bold('appliance agent --foreground')],
    blank,
    ...wrap('Every verb of the command line works without an agent too: appliance status', width - 4).map((line) => [
      dim(`   ${line}`),
    ]),
    blank,
    [dim(left === 0 ? '   trying again' : `   trying again in ${left} s`)],
  ];
}
