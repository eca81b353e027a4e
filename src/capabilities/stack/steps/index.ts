import { buildImages } from './build-images.ts';
import type { StackDeps } from './deps.ts';
import { migrate } from './migrate.ts';
import { removeCore } from './remove-core.ts';
import { restartService } from './restart-service.ts';
import { removeColour, removeColours, stopColour } from './retire.ts';
import { startColour } from './start-colour.ts';
import { startCore } from './start-core.ts';
import { startService, stopService } from './stop-service.ts';
import { waitHealthy } from './wait-healthy.ts';

/** Every step type of the stack, bound to what it acts on. */
export function createStackSteps(deps: StackDeps) {
  return {
    buildImages: buildImages(deps),
    startCore: startCore(deps),
    migrate: migrate(deps),
    startColour: startColour(deps),
    waitHealthy: waitHealthy(deps),
    stopColour: stopColour(deps),
    removeColour: removeColour(deps),
    removeColours: removeColours(deps),
    restartService: restartService(deps),
    stopService: stopService(deps),
    startService: startService(deps),
    removeCore: removeCore(deps),
  };
}
