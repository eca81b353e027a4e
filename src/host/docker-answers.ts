import { Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import { inspect } from 'node:util';

interface Adding {
  addRequest(request: ClientRequest, options: unknown): void;
}
const { addRequest } = Agent.prototype as unknown as Adding;

/**
 * Connections to the engine on which an answer that is cut short is an error. docker-modem waits for the end of an answer
 * and listens to nothing else of it: an engine that goes away in the middle of one would be waited for for ever.
 */
export class WholeAnswers extends Agent {
  constructor() {
    // As Node.js has it for whoever brings no agent.
    super({ keepAlive: true, scheduling: 'lifo', timeout: 5_000 });
  }

  /**
   * docker-modem writes the options of each request down for a log that nobody reads, this agent with every connection
   * that it has. 88 requests at once kept everything else waiting for eight seconds.
   */
  [inspect.custom](): string {
    return WholeAnswers.name;
  }

  addRequest(request: ClientRequest, options: unknown): void {
    request.once('response', (answer: IncomingMessage) => {
      answer.once('close', () => {
        if (!answer.complete)
          request.emit('error', Object.assign(new Error('the answer was cut short'), { code: 'ECONNRESET' }));
      });
    });
    addRequest.call(this, request, options);
  }
}
