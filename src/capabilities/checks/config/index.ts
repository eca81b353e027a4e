import type { PolicyDemands } from '../../../config/policy-demands.ts';
import type { Check } from '../check.ts';
import { envModeCheck, type FileFacts, leftoversCheck, neverCommittedCheck, secretFilesCheck } from './env-file.ts';
import { type ModelEntry, modelDirectoryCheck } from './model-directory.ts';
import { secretAgeCheck } from './secret-age.ts';
import { secretDefaultsCheck } from './secret-defaults.ts';
import { secretStrengthCheck } from './secret-strength.ts';
import { type LeakScan, secretsInHistoryCheck, secretsInTreeCheck } from './secrets-in-source.ts';
import { corsCheck, keysCheck, ldapCheck, logLevelCheck, redisCheck } from './settings.ts';

type Values = Readonly<Record<string, string>>;

/** What the checks of the configuration are given to look with. Values of the environment never leave them. */
export interface ConfigHands {
  readonly envFile: string | undefined;
  /** Id of the user whose files these should be. */
  readonly uid: number;
  readonly environment: () => Promise<Values>;
  /** The example file that the repository brings along; empty without one. */
  readonly example: (signal: AbortSignal) => Promise<Values>;
  readonly stat: (path: string) => Promise<FileFacts | undefined>;
  readonly besideEnvFile: () => Promise<readonly string[]>;
  readonly secretFiles: () => Promise<readonly string[]>;
  readonly ages: () => Promise<ReadonlyMap<string, number>>;
  readonly committed: (signal: AbortSignal) => Promise<Iterable<string>>;
  readonly scan: (signal: AbortSignal) => Promise<LeakScan>;
  readonly models: () => Promise<readonly ModelEntry[] | undefined>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Whether secrets, settings and files are as they must be. @param demands of the policy */
export function configChecks(hands: ConfigHands, demands: PolicyDemands | undefined): Check[] {
  const { environment, envFile, stat, scan } = hands;
  return [
    secretStrengthCheck(environment),
    secretDefaultsCheck(environment, hands.example),
    secretAgeCheck(hands.ages, hands.now),
    envModeCheck(envFile, stat, hands.uid),
    secretFilesCheck(hands.secretFiles, stat),
    neverCommittedCheck(envFile, hands.committed),
    leftoversCheck(envFile, hands.besideEnvFile),
    ...(demands && demands.keys.length > 0 ? [keysCheck(environment, demands.keys)] : []),
    corsCheck(environment),
    logLevelCheck(environment),
    ldapCheck(environment),
    redisCheck(environment, demands?.redis),
    secretsInTreeCheck(scan),
    secretsInHistoryCheck(scan),
    modelDirectoryCheck(hands.models),
  ];
}
