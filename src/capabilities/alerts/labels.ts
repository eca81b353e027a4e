/** Labels by which the route tree tells our own alerts apart. */
export const marks = {
  /** A test alert; the value is the one receiver that gets it. */
  test: 'appliance_test',
  /** A critical alert that nobody answered; the value is the level of the escalation, from 1. */
  escalation: 'escalation',
} as const;

/** The alert that always fires (the rules bring it): its absence means that monitoring is dead. */
export const watchdogName = 'Watchdog';
/** Name of a test alert. */
export const testName = 'ApplianceTest';
