import { openAppliance } from '../../src/agent/appliance.ts';
import { openState } from '../../src/agent/state.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { pathsFor } from '../../src/lib/paths.ts';

// A process that runs a drill of the newest snapshot, to be killed in the middle: node drill-process.ts ROOT
const paths = pathsFor(process.argv[2]);
const appliance = await openAppliance({ paths, clock: systemClock, database: openState(paths) });
const events = appliance.schedule.run('drill', { uid: 0, user: 'root', ssh: null }, 0, AbortSignal.timeout(600_000));
for await (const event of events) if (event.event === 'operation-ended') process.stdout.write(event.result.result);
