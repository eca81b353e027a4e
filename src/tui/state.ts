import type { OperationResult, Status } from '../api/schema.ts';
import type { ErrorCode } from '../lib/errors.ts';
import type { LiveOperation } from './operation.ts';

/** How the screens are connected to the agent. */
type Link =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'up' }
  /** `absent`: there never was an agent. `lost`: there was one. */
  | { readonly kind: 'absent' | 'lost'; readonly code: ErrorCode; readonly message: string; readonly retryAt: number };

/** A line of a service, ready for a terminal. */
export interface LogEntry {
  /** Counts up from 1 for as long as the screens are open. */
  readonly seq: number;
  readonly service: string;
  readonly label: string;
  readonly error: boolean;
  readonly text: string;
}

type ScreenName = 'overview' | 'logs';

/** What the person at the keyboard has chosen. */
export interface View {
  readonly screen: ScreenName;
  readonly help: boolean;
  /** First visible line of the help. */
  readonly helpTop: number;
  /** Row of the services table that is marked. */
  readonly selected: number;
  /** Service whose logs are shown; undefined for all. */
  readonly service: string | undefined;
  /** Pattern that log lines must match; empty for all. */
  readonly filter: string;
  /** The filter while it is being typed. */
  readonly typing: string | undefined;
  /** Last visible log line by its number; undefined while following the newest. */
  readonly anchor: number | undefined;
  /** Columns by which log lines are shifted to the left. */
  readonly shift: number;
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
  readonly logs: readonly LogEntry[];
  readonly view: View;
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
    logs: [],
    view: {
      screen: 'overview',
      help: false,
      helpTop: 0,
      selected: 0,
      service: undefined,
      filter: '',
      typing: undefined,
      anchor: undefined,
      shift: 0,
    },
    now,
  };
}
