import type { DocumentName } from '../documents.ts';
import type { Glyphs, Line } from '../line.ts';
import type { LogFilter } from '../logs/filter.ts';
import type { Intent } from '../order.ts';
import type { ScreenName } from '../screen-names.ts';
import type { State, View } from '../state.ts';
import type { Room } from './columns.ts';

/** A key of one screen, and what it wants of the marked row. */
export interface ScreenAction {
  /** `rollback`; with the name of the screen before it, the name in the file of keys. */
  readonly name: string;
  readonly keys: readonly string[];
  /** A sentence for the help. */
  readonly help: string;
  /** A word or two for the bottom line. */
  readonly hint?: string;
  /** Whether it changes something, so that a viewer cannot do it. */
  readonly changes: boolean;
  readonly act: (state: State) => Intent;
}

/** What a screen is drawn with. */
export interface Canvas extends Room {
  readonly glyphs: Glyphs;
  readonly filter: LogFilter;
}

/** One screen, as data. The frame, the keys, the help, the feed and the tests all go by the table of them. */
export interface Screen {
  readonly name: ScreenName;
  readonly title: string;
  /** The key that opens it. */
  readonly key: string;
  /** What it asks the agent for besides the status. */
  readonly feed?: DocumentName;
  /** `list`: a table with a marked row; `logs`: lines that come; `page`: neither. */
  readonly kind: 'list' | 'logs' | 'page';
  readonly actions: readonly ScreenAction[];
  /** Exactly as many lines as there is room. */
  readonly lines: (state: State, canvas: Canvas) => readonly Line[];
  /** Marks another row; only lists have it. @param target index of the row; the nearest that exists is taken */
  readonly mark?: (state: State, target: number) => View;
  /** Index of the marked row and how many there are. */
  readonly place?: (state: State) => { readonly index: number; readonly size: number };
  /** Index of the row on a line of the body, for the mouse. */
  readonly rowAt?: (state: State, canvas: Canvas, line: number) => number | undefined;
}
