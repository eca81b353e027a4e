import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { ShadowConfig } from '../../../config/shadow.ts';
import { ensureDirectory, writeFileAtomic } from '../../../host/files.ts';
import type { Exchange } from '../../../host/nginx-exchange.ts';
import { type Colour, otherColour } from '../../../lib/colour.ts';
import { ApplianceError, messageOf } from '../../../lib/errors.ts';
import type { ShadowReport } from '../../../lib/shadow.ts';
import type { Topology } from '../../../lib/topology.ts';
import type { TrafficParts } from '../deps.ts';
import { compareAnswers, ruleFor } from './compare.ts';
import { Replayer } from './replay.ts';
import { withPair, withSilence } from './tally.ts';

/** Seconds for which the edge goes on copying when nobody asks for the copies any more. */
const lease = 5;
/** Milliseconds between two questions while there is nothing to do, and while the edge does not answer. */
const pause = 100;
const patience = 1_000;
/** Milliseconds after which a copy would be compared with an answer that is no longer true. */
const oldest = 10_000;

/** What is copied to whom. */
export interface ShadowWish {
  /** Where the copies go; the requests are those of the other colour. */
  readonly topology: Topology;
  /** 1 to 100. */
  readonly share: number;
  readonly rules: ShadowConfig;
}

/**
 * Copies requests to the idle colour for as long as it runs, and compares. The edge keeps exchanges that are over; they are
 * fetched from it no faster than the idle colour answers, and what waits for too long is forgotten there.
 */
export class ShadowSession {
  readonly #parts: TrafficParts;
  readonly #wish: ShadowWish;
  readonly #replayer: Replayer;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  readonly #copies = new Set<Promise<void>>();
  #report: ShadowReport;
  #trouble = '';

  /** @param report of what was compared before, which it goes on with */
  constructor(parts: TrafficParts, wish: ShadowWish, report: ShadowReport) {
    this.#parts = parts;
    this.#wish = wish;
    this.#report = report;
    this.#replayer = new Replayer(wish.topology, parts.config.routes, wish.rules);
    this.#running = this.#run();
  }

  get report(): ShadowReport {
    return this.#report;
  }

  /** Why requests are not copied at this moment; empty when they are. */
  get trouble(): string {
    return this.#trouble;
  }

  /** Ends it: the edge copies nothing any more, and copies under way are given up. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#running;
    await Promise.all(this.#copies);
    this.#replayer.close();
    await endShadow(this.#parts);
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const found = await this.#round();
      const rest = (ms: number) => this.#parts.clock.sleep(ms, signal).catch(() => undefined);
      // When a place is free and more may wait, there is no reason to rest.
      if (this.#room() === 0) await Promise.race([...this.#copies, rest(patience)]);
      else if (!found) await rest(this.#trouble === '' ? pause : patience);
    }
  }

  #room(): number {
    return this.#wish.rules.concurrency - this.#copies.size;
  }

  /** Renews the lease and fetches as many exchanges as can be sent now. @returns whether there were any */
  async #round(): Promise<boolean> {
    const { control, clock, files } = this.#parts;
    const { share, topology } = this.#wish;
    const from = otherColour(topology.colour);
    try {
      if (!existsSync(files.shadow)) {
        await ensureDirectory(files.stateDirectory);
        await writeFileAtomic(files.shadow, '', 0o644);
      }
      const { missed, exchanges } = await control.exchanges(
        { from, share, seconds: lease, most: this.#room() },
        this.#ending.signal,
      );
      this.#trouble = '';
      this.#report = { ...this.#report, missed: this.#report.missed + missed };
      for (const exchange of exchanges) {
        if (clock.now() - exchange.at <= oldest) this.#send(exchange);
        else this.#report = { ...this.#report, missed: this.#report.missed + 1 };
      }
      return exchanges.length > 0;
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#trouble = `requests cannot be copied: ${messageOf(error)}`;
      return false;
    }
  }

  #send(exchange: Exchange): void {
    const copy = this.#copy(exchange).finally(() => this.#copies.delete(copy));
    this.#copies.add(copy);
  }

  async #copy(exchange: Exchange): Promise<void> {
    let shadow: Awaited<ReturnType<Replayer['ask']>>;
    try {
      shadow = await this.#replayer.ask(exchange, this.#ending.signal);
    } catch {
      return; // Given up: it says nothing about the colour.
    }
    if (typeof shadow === 'string') {
      this.#report = withSilence(this.#report, exchange, shadow);
      return;
    }
    const live = exchange.answer;
    const rule = ruleFor(this.#wish.rules.compare, exchange.path);
    this.#report = withPair(this.#report, exchange, compareAnswers(live, shadow, rule), { live, shadow });
  }
}

/** Ends whatever is copied, also what a writer before this one began. An edge that does not answer ends it by itself. */
export async function endShadow({ control, files }: TrafficParts): Promise<void> {
  await rm(files.shadow, { force: true });
  const anyColour: Colour = 'blue';
  try {
    await control.exchanges({ from: anyColour, share: 0, seconds: 0, most: 0 });
  } catch (error) {
    // Without the marker it copies nothing, and the lease ends.
    if (!(error instanceof ApplianceError)) throw error;
  }
}
