import type { Client } from '../api/client.ts';
import type { ApplianceEvent, Plan } from '../api/schema.ts';
import type { Verdict } from '../lib/verdict.ts';
import type { Line } from './line.ts';
import type { ScreenName } from './screen-names.ts';

/** What is said when an order was carried out that is no operation. */
export interface Said {
  readonly verdict: Verdict;
  readonly text: string;
}

/** Something that changes the appliance. Nothing is sent before a dialog has shown what it is and somebody has agreed. */
export interface Order {
  /** The same on the command line: `appliance rollback v0.9`. */
  readonly command: string;
  /** What will happen, where no plan can be asked for. */
  readonly happens: readonly string[];
  readonly plan?: (client: Client, signal: AbortSignal) => Promise<Plan>;
  /** `mild`: nobody notices; `destructive`: the default is Cancel; `severe`: besides, a name must be typed. */
  readonly severity: 'mild' | 'destructive' | 'severe';
  /** What must be typed for a severe one. */
  readonly name?: string;
  /** What is done instead of sending it, where the command line does the work. */
  readonly instead?: Intent;
  /** Events of an operation, or what is to be said when it is done. */
  readonly send: (client: Client, signal: AbortSignal) => AsyncIterable<ApplianceEvent> | Promise<Said>;
}

/** What a key on a screen, or a line of the palette, wants. */
export type Intent =
  | { readonly kind: 'order'; readonly order: Order }
  | {
      readonly kind: 'ask';
      readonly label: string;
      /** What stands there at first. */
      readonly text: string;
      readonly next: (text: string) => Intent;
    }
  | {
      readonly kind: 'look';
      readonly title: string;
      readonly command: string;
      readonly load: (client: Client, signal: AbortSignal) => Promise<readonly Line[]>;
    }
  | { readonly kind: 'logs'; readonly service: string }
  | { readonly kind: 'show'; readonly screen: ScreenName }
  | { readonly kind: 'shell'; readonly words: readonly string[] }
  /** Lines of the logs, to a file or to the clipboard. */
  | { readonly kind: 'save'; readonly path: string }
  | { readonly kind: 'copy' }
  | { readonly kind: 'say'; readonly text: string };
