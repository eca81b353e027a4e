import { ApplianceError, asApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { mark } from '../output/look.ts';
import type { Session } from '../session.ts';

export async function agent(call: Call<'agent'>, session: Session): Promise<number> {
  if (call.options.foreground) {
    // The agent minds signals itself, and outlives the terminal it was started from.
    session.handleInterrupt(() => undefined);
    session.keepGoingWithoutOutput();
    return session.wiring.runAgent({ root: session.globals.root });
  }
  const client = await session.agent();
  if (client === undefined) {
    throw new ApplianceError('agent_unreachable', 'no agent is running', {
      left: 'every verb works without one, in its own process',
      hint: 'start it: /opt/appliance/bin/appliance-start; or run it here: appliance agent --foreground',
    });
  }
  const about = await client.ask('ping', {}, session.signal);
  session.answer(about, () => [
    `${mark(session.out, 'pass')} the agent of ${about.name} is running: version ${about.version}, pid ${about.pid}`,
  ]);
  return exitCodes.done;
}

export async function version(_: Call<'version'>, session: Session): Promise<number> {
  const { answer, problem } = await askAgent(session);
  const document = {
    version: session.wiring.version,
    node: process.versions.node,
    agent: answer ? { version: answer.version, pid: answer.pid } : null,
    ...(problem ? { problem: problem.toBody() } : {}),
  };
  session.answer(document, () => [
    `appliance ${document.version} (Node.js ${document.node})`,
    `agent     ${answer ? `${answer.version}, pid ${answer.pid}` : problem ? notHeard(problem) : 'not running'}`,
  ]);
  return exitCodes.done;
}

/** What the agent says of itself. One that cannot be asked is a problem to tell, and no reason to fail. */
async function askAgent(session: Session) {
  try {
    const client = await session.agent();
    return { answer: await client?.ask('ping', {}, session.signal), problem: undefined };
  } catch (error) {
    if (session.signal.aborted) throw error;
    return { answer: undefined, problem: asApplianceError(error) };
  }
}

function notHeard({ code, message }: ApplianceError): string {
  return code === 'not_permitted'
    ? 'not accessible: it answers its operators and viewers only'
    : `no answer: ${message}`;
}
