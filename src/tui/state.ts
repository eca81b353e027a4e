import type { Client } from '../api/client.ts';
import type { OperationResult, Plan, Status } from '../api/schema.ts';
import type { ErrorCode } from '../lib/errors.ts';
import type { Documents } from './documents.ts';
import type { Line } from './line.ts';
import type { LiveOperation } from './operation.ts';
import type { Intent, Order } from './order.ts';
import type { ScreenName } from './screen-names.ts';
import { noRequests, type RequestSeries, type Series } from './series.ts';

/** How the screens are connected to the agent. */
type Link =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'up'; readonly access: Client['access'] }
  /** `absent`: there never was an agent. `lost`: there was one. */
  | { readonly kind: 'absent' | 'lost'; readonly code: ErrorCode; readonly message: string; readonly retryAt: number };

/** A line of a service, ready for a terminal. */
export interface LogEntry {
  /** Counts up from 1 for as long as the screens are open. */
  readonly seq: number;
  readonly service: string;
  readonly label: string;
  readonly error: boolean;
  /** RFC 3339, as the engine noted it. */
  readonly time: string | null;
  readonly text: string;
}

/** Which lines are looked at: all but those for developers, or those that name themselves at least so urgent, or all. */
export const logLevels = ['usual', 'warnings', 'errors', 'all'] as const;

/** How the logs are looked at. */
export interface LogsView {
  /** Service whose logs are shown; undefined for all. */
  readonly service: string | undefined;
  /** Pattern that log lines must match; empty for all. */
  readonly filter: string;
  /** Pattern that is highlighted; empty for none. */
  readonly search: string;
  readonly level: (typeof logLevels)[number];
  /** Last visible log line by its number; undefined while following the newest. */
  readonly anchor: number | undefined;
  /** The lines as they were when following was left, so that the view stands still whatever comes. */
  readonly frozen: readonly LogEntry[] | undefined;
  /** Columns by which log lines are shifted to the left. */
  readonly shift: number;
  readonly wrap: boolean;
  readonly times: boolean;
  /** Whether lines of JSON are shown as they came. */
  readonly raw: boolean;
}

/** How a list is looked at. */
export interface ListView {
  /** The marked row by its id, and where it stood, should it be gone. */
  readonly id: string | undefined;
  readonly index: number;
  readonly filter: string;
}

/** A line that is being typed at the bottom. */
interface Typing {
  readonly purpose: 'filter' | 'search' | 'ask';
  readonly label: string;
  readonly text: string;
  readonly next?: (text: string) => Intent;
}

/** What lies over a screen. */
export type Overlay =
  | { readonly kind: 'help'; readonly top: number }
  | {
      readonly kind: 'look';
      readonly title: string;
      readonly command: string;
      readonly lines: readonly Line[] | undefined;
      readonly top: number;
    }
  | { readonly kind: 'palette'; readonly text: string; readonly chosen: number }
  | Dialog
  /** Asks before leaving while an answer is waited for that would be lost. */
  | { readonly kind: 'leave'; readonly go: boolean };

/** Shows exactly what an order does, and asks. */
export interface Dialog {
  readonly kind: 'dialog';
  readonly order: Order;
  readonly plan: Plan | 'asking' | { readonly message: string; readonly hint: string | undefined } | undefined;
  /** What was typed of the name that a severe order wants. */
  readonly typed: string;
  /** Whether the button that goes on is marked, not Cancel. */
  readonly go: boolean;
  readonly top: number;
}

/** What the person at the keyboard has chosen. */
export interface View {
  readonly screen: ScreenName;
  /** Screens to go back to, the last at the end. */
  readonly trail: readonly ScreenName[];
  readonly lists: Readonly<Partial<Record<ScreenName, ListView>>>;
  readonly logs: LogsView;
  readonly typing: Typing | undefined;
  readonly overlay: Overlay | undefined;
}

/** One line about what was just done. */
export interface Notice {
  readonly kind: 'running' | 'pass' | 'fail' | 'inconclusive';
  readonly text: string;
  readonly command?: string | undefined;
  readonly hint?: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface State {
  readonly link: Link;
  /** What the agent said last; still there while the agent is lost. */
  readonly status: Status | undefined;
  /** Why the agent cannot say more at the moment, for example because the engine is down. */
  readonly problem: { readonly message: string; readonly hint: string | undefined } | undefined;
  readonly operation: LiveOperation | undefined;
  /** Operations that have ended, the newest first. */
  readonly history: readonly OperationResult[];
  readonly documents: Documents;
  readonly series: Series;
  readonly requests: RequestSeries;
  readonly logs: readonly LogEntry[];
  readonly view: View;
  readonly notice: Notice | undefined;
  /** Commands whose answer is waited for; they end when the screens are closed. */
  readonly waiting: readonly string[];
  /** Milliseconds since 1970, once a second. */
  readonly now: number;
}

export function initialState(now: number): State {
  return {
    link: { kind: 'connecting' },
    status: undefined,
    problem: undefined,
    operation: undefined,
    history: [],
    documents: {},
    series: new Map(),
    requests: noRequests,
    logs: [],
    view: {
      screen: 'overview',
      trail: [],
      lists: {},
      logs: {
        service: undefined,
        filter: '',
        search: '',
        level: 'usual',
        anchor: undefined,
        frozen: undefined,
        shift: 0,
        wrap: false,
        times: false,
        raw: false,
      },
      typing: undefined,
      overlay: undefined,
    },
    notice: undefined,
    waiting: [],
    now,
  };
}
