import { median, type Row, range } from '../row.ts';
import { type DemoStack, iterations, type Timed } from './stack.ts';

/** What containers need to boot, as far as steps go: all the rest of an operation is ours. */
const bootSteps = ['start-colour', 'wait-healthy'];

/** How fast releases come and go, beside what Compose needs to start the same containers. */
export async function measureReleases(stack: DemoStack): Promise<Row[]> {
  const warm = await warmRollbacks(stack);
  const { boots, colds } = await coldRollbacks(stack);
  const deploys = await deploysInTurn(stack);
  const boot = median(boots);
  const rival = { name: 'compose up --wait', value: boot };
  return [
    row('warm rollback, command to verified traffic', warm.map(seconds), { target: 2, rival }),
    {
      ...row('cold rollback, command to verified traffic', colds.map(seconds), { target: boot + 3, rival }),
      target: '≤ beside it + 3 s',
    },
    row('cold rollback without starting containers and waiting for them', colds.map(without(bootSteps)), { target: 3 }),
    row(
      'deploy beyond its build and beyond what Compose takes to boot',
      deploys.map(without(['build-images'])).map((value) => value - boot),
      { target: 5 },
    ),
    row('deploy beyond its build and its own boot', deploys.map(without(['build-images', ...bootSteps])), {
      target: 5,
    }),
  ];
}

/** Both colours run: only the traffic moves. */
async function warmRollbacks(stack: DemoStack): Promise<Timed[]> {
  const all: Timed[] = [];
  for (let run = 0; run < iterations(8); run += 1) {
    all.push(await stack.operate('rollback', run % 2 === 0 ? 'v0.9' : 'v1.0'));
  }
  return all;
}

/** The other colour is gone: first Compose starts it from nothing, then, from nothing again, the appliance does. */
async function coldRollbacks(stack: DemoStack): Promise<{ boots: number[]; colds: Timed[] }> {
  const tags = { blue: 'v0.9', green: 'v1.0' };
  const boots: number[] = [];
  const colds: Timed[] = [];
  for (let run = 0; run < iterations(5); run += 1) {
    const colour = await stack.idleColour();
    await stack.clear(colour);
    boots.push(await stack.boot(colour));
    await stack.clear(colour);
    colds.push(await stack.operate('rollback', tags[colour]));
  }
  return { boots, colds };
}

/** Three releases in turn on two colours, so each deploy clears an older one away. The first builds and migrates. */
async function deploysInTurn(stack: DemoStack): Promise<Timed[]> {
  const { release } = await stack.status();
  const others = ['v0.9', 'v1.0'].filter((tag) => tag !== release?.tag);
  const turn = ['v1.0-p2', ...others, release?.tag ?? ''];
  const all: Timed[] = [];
  for (let run = 0; run < iterations(5); run += 1) {
    all.push(await stack.operate('deploy', turn[run % turn.length] ?? ''));
  }
  return all;
}

const seconds = (timed: Timed): number => timed.seconds;

/** Seconds of an operation without some of its steps. */
const without =
  (names: readonly string[]) =>
  ({ seconds, result }: Timed): number =>
    result.steps.filter(({ name }) => names.includes(name)).reduce((rest, step) => rest - step.seconds, seconds);

function row(
  name: string,
  values: readonly number[],
  { target, rival }: { readonly target: number; readonly rival?: NonNullable<Row['rival']> },
): Row {
  return {
    name,
    value: median(values),
    unit: 's',
    ...(rival ? { rival, ratio: median(values) / rival.value } : {}),
    spread: `${range(values)} of ${values.length}`,
    target: `≤ ${target} s`,
    met: median(values) <= target,
  };
}
