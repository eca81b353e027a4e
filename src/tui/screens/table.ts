import { logsScreen } from '../logs/screen.ts';
import type { ScreenName } from '../screen-names.ts';
import { alertsScreen } from './alerts.ts';
import { auditScreen } from './audit.ts';
import { backupsScreen } from './backups.ts';
import { certificatesScreen } from './certificates.ts';
import { checksScreen } from './checks.ts';
import { modelsScreen } from './models.ts';
import { overviewScreen } from './overview.ts';
import { releasesScreen } from './releases.ts';
import { rolloutScreen } from './rollout.ts';
import type { Screen } from './screen.ts';
import { servicesScreen } from './services.ts';

/**
 * Every screen, in the order of the top line. Another one is a name in `screen-names.ts`, what it asks the agent for in
 * `documents.ts`, and a description here: key, title, columns, actions. The frame, keys, help, palette, feed and tests
 * take it from there.
 */
export const screens: readonly Screen[] = [
  overviewScreen,
  servicesScreen,
  logsScreen,
  releasesScreen,
  rolloutScreen,
  modelsScreen,
  backupsScreen,
  certificatesScreen,
  alertsScreen,
  checksScreen,
  auditScreen,
];

const byName = new Map(screens.map((screen) => [screen.name, screen]));

/** @throws RangeError for a name that is not in the table, which a test rules out */
export function screenOf(name: ScreenName): Screen {
  const screen = byName.get(name);
  if (!screen) throw new RangeError(`there is no screen ${name}`);
  return screen;
}
