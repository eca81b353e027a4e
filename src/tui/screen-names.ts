/** Names of the screens, in the order in which they are visited. */
export const screenNames = [
  'overview',
  'services',
  'logs',
  'releases',
  'rollout',
  'models',
  'backups',
  'certificates',
  'alerts',
  'checks',
  'audit',
] as const;
export type ScreenName = (typeof screenNames)[number];
