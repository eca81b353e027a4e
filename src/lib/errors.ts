/**
 * The one registry of error codes. Each code maps to an exit status of CONTRACT ("Exit codes"); `docs/reference/errors.md`
 * lists them with the same meanings.
 */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  verdictFail: 3,
  verdictInconclusive: 4,
  busy: 5,
  notFound: 6,
  notPermitted: 7,
  unreachable: 8,
  manual: 9,
  interrupted: 130,
} as const;

export const errorCodes = {
  internal: { exit: 1, meaning: 'a defect in appliance itself' },
  operation_failed: { exit: 1, meaning: 'an operation failed; what it had done was taken back' },
  step_failed: { exit: 1, meaning: 'one step of an operation failed' },
  build_failed: { exit: 1, meaning: 'an image could not be built' },
  migration_failed: { exit: 1, meaning: 'the schema migration job ended with an error' },
  unhealthy: { exit: 1, meaning: 'a service did not become healthy in time' },
  edge_refused: { exit: 1, meaning: 'nginx refused a new configuration; the old one goes on serving' },
  alertmanager_unreachable: { exit: 1, meaning: 'Alertmanager does not answer' },
  alertmanager_refused: { exit: 1, meaning: 'Alertmanager refuses its configuration, or what it is asked' },
  prometheus_unreachable: { exit: 1, meaning: 'Prometheus does not answer, or refuses what it is asked' },
  not_measured: { exit: 1, meaning: 'something that alerts are raised by cannot be measured' },
  edge_unreachable: { exit: 1, meaning: 'the edge does not answer on its control socket' },
  compose_failed: { exit: 1, meaning: 'docker compose ended with an error' },
  git_failed: { exit: 1, meaning: 'the source repository could not be read' },
  rollout_failed: { exit: 1, meaning: 'the analysis of a rollout failed; the release was taken back' },
  rollout_aborted: { exit: 1, meaning: 'a person called a rollout off; the release was taken back' },
  disk_full: { exit: 1, meaning: 'no space left on the device' },
  model_not_loaded: { exit: 1, meaning: 'a running process has not loaded the model that is in force' },
  training_failed: { exit: 1, meaning: "a run of the application's trainer failed" },
  backup_failed: { exit: 1, meaning: 'a backup failed; the snapshots before it are untouched' },
  backup_damaged: { exit: 1, meaning: 'a snapshot, or the repository of backups, is damaged' },
  backup_target: { exit: 1, meaning: 'the target of backups cannot be reached, read or written' },
  database_unreachable: { exit: 1, meaning: 'a database server does not run, or takes no connections yet' },
  restore_failed: { exit: 1, meaning: 'a part of a snapshot could not be brought back; what was in use stays' },
  uninstall_failed: { exit: 1, meaning: 'the removal of the program stopped; run again, it goes on' },
  timeout: { exit: 1, meaning: 'something took longer than its deadline' },
  state_corrupt: { exit: 1, meaning: 'a state file or database does not pass its integrity check' },
  state_newer: { exit: 1, meaning: 'a state file or database was written by a newer version of this program' },
  schema_gate: { exit: 1, meaning: "the target release cannot read today's database schema" },
  subnet_exhausted: { exit: 1, meaning: 'no free subnet is left in the pool' },
  certificate_refused: { exit: 1, meaning: 'the certificate authority did not issue the certificate' },
  certificate_limited: { exit: 1, meaning: 'an attempt now would go beyond a limit of the certificate authority' },
  certificate_not_served: { exit: 1, meaning: 'the edge does not serve the certificate that it was given' },
  authority_unreachable: { exit: 1, meaning: 'the certificate authority does not answer, or not as an ACME server' },
  usage: { exit: 2, meaning: 'the command line is not understood' },
  config_invalid: { exit: 2, meaning: 'appliance.yaml does not pass its schema' },
  config_missing: { exit: 2, meaning: 'there is no appliance.yaml' },
  policy_invalid: { exit: 2, meaning: 'a policy does not pass its schema' },
  model_invalid: { exit: 2, meaning: 'a model directory, or its manifest, is not what it must be' },
  model_exists: { exit: 2, meaning: 'the label of a model version is taken by other bytes' },
  certificate_invalid: { exit: 2, meaning: 'a certificate, its key or a name for one is not what it must be' },
  compose_invalid: { exit: 2, meaning: 'the Compose project cannot be resolved, or does not fit appliance.yaml' },
  moved_tag: { exit: 2, meaning: 'the tag now names another commit than the release that was made from it' },
  tag_invalid: { exit: 2, meaning: 'the text is not a valid Git tag name' },
  bundle_invalid: { exit: 2, meaning: 'a bundle is damaged, incomplete, or for another kind of host' },
  bundle_newer: { exit: 2, meaning: 'the bundle was made by a newer appliance' },
  backup_newer: { exit: 2, meaning: 'the snapshot was made by a newer appliance' },
  alerts_off: { exit: 2, meaning: 'appliance.yaml has no section alerts, or no receiver' },
  confirmation_needed: { exit: 2, meaning: 'a destructive verb needs --yes or a terminal to ask on' },
  verdict_fail: { exit: 3, meaning: 'the verdict is fail' },
  verdict_inconclusive: { exit: 4, meaning: 'there is not enough data for a verdict' },
  questions_open: { exit: 4, meaning: 'people have not answered yet what a policy asks them' },
  busy: { exit: 5, meaning: 'another operation holds the lock' },
  backup_locked: { exit: 5, meaning: 'another program is working on the repository of backups' },
  tag_not_found: { exit: 6, meaning: 'the repository has no such tag' },
  policy_not_found: { exit: 6, meaning: 'no policy has that name' },
  release_not_found: { exit: 6, meaning: 'no release of that tag is known' },
  service_not_found: { exit: 6, meaning: 'the stack has no such service' },
  alert_not_found: { exit: 6, meaning: 'no such alert fires, or no such silence or receiver exists' },
  certificate_not_found: { exit: 6, meaning: 'appliance.yaml names no such certificate' },
  model_not_found: { exit: 6, meaning: 'the registry has no such model or version' },
  backup_not_found: { exit: 6, meaning: 'no snapshot has that id, or there is no repository of backups' },
  rollout_not_found: { exit: 6, meaning: 'no rollout is running' },
  job_not_found: { exit: 6, meaning: 'no job of the schedule has that name' },
  operation_not_found: { exit: 6, meaning: 'no operation has that id' },
  not_deployed: { exit: 6, meaning: 'no release is deployed yet' },
  backup_key: { exit: 7, meaning: 'the key does not open the repository of backups' },
  model_untrusted: { exit: 7, meaning: 'the archive of a model is signed by nobody whose key is trusted' },
  approval_missing: { exit: 7, meaning: 'the policy asks for approvals of people that a release does not have' },
  not_permitted: { exit: 7, meaning: 'the caller may not do that' },
  agent_unreachable: { exit: 8, meaning: 'the agent does not answer on its socket' },
  engine_unreachable: { exit: 8, meaning: 'the Docker Engine does not answer' },
  manual_intervention: { exit: 9, meaning: 'a person must decide; the hint says what to type' },
  interrupted: { exit: 130, meaning: 'interrupted; the message says whether the operation goes on' },
} as const satisfies Record<string, { exit: number; meaning: string }>;

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorDetails {
  /** What was left as it was, or taken back. */
  readonly left?: string | undefined;
  /** What to do next, as a command where possible. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** How an error travels over the socket and onto `--json` output. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly left?: string | undefined;
  readonly hint?: string | undefined;
  readonly exit: number;
}

/** The only error class that reaches a person: what happened, what was left as it was, what to do next. */
export class ApplianceError extends Error {
  override readonly name = 'ApplianceError';
  readonly code: ErrorCode;
  readonly left: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.left = details.left;
    this.hint = details.hint;
  }

  get exit(): number {
    return errorCodes[this.code].exit;
  }

  toBody(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.left === undefined ? {} : { left: this.left }),
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      exit: this.exit,
    };
  }

  static fromBody(body: ErrorBody): ApplianceError {
    return new ApplianceError(body.code, body.message, { left: body.left, hint: body.hint });
  }
}

/** Text of anything that was thrown, without its stack. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The Node.js error code (`ENOENT`, `ENOSPC`, …) of anything that was thrown, if it carries one. */
export function systemCode(thrown: unknown): string | undefined {
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return undefined;
}

/** Turns anything that was thrown into an ApplianceError, keeping one that already is. */
export function asApplianceError(thrown: unknown): ApplianceError {
  if (thrown instanceof ApplianceError) return thrown;
  if (
    ['ENOSPC', 'EDQUOT', 'SQLITE_FULL', 'SQLITE_IOERR_SHMSIZE'].includes(systemCode(thrown) ?? '') ||
    /no space left on device/i.test(messageOf(thrown))
  ) {
    return new ApplianceError('disk_full', `no space left on the device: ${messageOf(thrown)}`, {
      hint: 'free some space (appliance releases prune), then run the command again',
      cause: thrown,
    });
  }
  return new ApplianceError('internal', messageOf(thrown), { cause: thrown });
}
