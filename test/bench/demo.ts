import { measureCommandLine } from './demo/command-line.ts';
import { measureIdle } from './demo/idle.ts';
import { measureReleases } from './demo/releases.ts';
import { DemoStack } from './demo/stack.ts';
import { main, type Row } from './row.ts';

export const about = `\
The rows from rollback to idle come from one run of the bundled program with the reference application (eight
containers) and its monitoring (three more), on a stack of their own. Commands are timed from start to exit. A deploy or rollback counts when it exits
with 0 and 20 answers that follow carry the release. "Cold" means that no container of the release exists, only its
images. Beside it, Compose starts the very same project from nothing (\`docker compose up --detach --wait\`), right
before each cold rollback. Three releases are deployed in turn, each clears an older one away, the first is built and
migrates the database. Commands run in pairs with their rival. The idle agent has done all of that before; looks at the
processor time of the engine with and without it take turns.`;

const parts = { releases: measureReleases, 'command-line': measureCommandLine, idle: measureIdle };

/** The demo as its users meet it: deploys and rollbacks, commands, and what the agent costs while nothing happens. */
export async function bench(wanted: readonly string[] = Object.keys(parts)): Promise<Row[]> {
  const stack = await DemoStack.open();
  // Containers outlive whoever is killed here; Ctrl-C still takes them away.
  const interrupted = (): void => void stack.close().finally(() => process.exit(130));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    const rows: Row[] = [];
    for (const [name, measure] of Object.entries(parts))
      if (wanted.includes(name)) rows.push(...(await measure(stack)));
    return rows;
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    await stack.close();
  }
}

if (import.meta.main) await main(() => bench(process.argv.length > 2 ? process.argv.slice(2) : undefined));
