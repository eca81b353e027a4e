import { z } from 'zod';
import { bytesPattern, durationPattern, parseBytes, parseDuration } from '../lib/units.ts';

const duration = z.string().regex(durationPattern, 'write a duration such as 500ms or 3s').transform(parseDuration);
const bytes = z.string().regex(bytesPattern, 'write a size such as 512MB or 8GiB').transform(parseBytes);
const path = z.string().startsWith('/');
const key = z.string().regex(/^[A-Za-z_]\w*$/, 'write the name of an environment key');

/** The section `models:` of appliance.yaml. */
export const modelsSchema = z
  .strictObject({
    directory: z
      .string()
      .startsWith('./')
      .default('./models')
      .describe(
        'bind mount with the models, also listed under persistent; registry, versions and `current` live in it',
      ),
    service: z.string().min(1).describe('app service that loads the model'),
    port: z.int().min(1).max(65_535).describe('where it listens inside its container'),
    active: path
      .default('/api/models/active')
      .describe('path that answers with the digest of the loaded manifest as `sha256`, and its `version`'),
    reload: path
      .optional()
      .describe('path that is posted to when another model is in force; left out: the application watches by itself'),
    login: z
      .strictObject({
        path: path.default('/api/auth/login').describe('path that answers with `access_token`'),
        user: key.default('DEMO_USER').describe('environment key of the release with the user'),
        password: key.default('DEMO_PASSWORD').describe('environment key of the release with the password'),
      })
      .optional()
      .describe('how to log in for `reload` and `train`; left out: they need no login'),
    confirm: duration
      .prefault('3s')
      .describe('how long running processes may take to have loaded a model before they are restarted (S1-77)'),
    split: z
      .boolean()
      .default(false)
      .describe(
        'whether the application gives a second version a share of the requests: it reads `candidate.json` in the directory and reports it as `candidate` at `active` (S3-25)',
      ),
    classes: z
      .array(z.string().regex(/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$/, 'write module.Class'))
      .default([])
      .describe('classes of the application that its pickled models hold; every other one of its names is refused'),
    trial: z
      .strictObject({
        command: z
          .array(z.string().min(1))
          .min(1)
          .describe('run in a container of the live image with the candidate; prints one JSON object'),
        mount: path.describe('where the candidate is mounted, read-only'),
        baseline: path.describe('where the model in force is mounted, read-only'),
        memory: bytes.prefault('8GB').describe('most memory of the container (S4-19)'),
        timeout: duration.prefault('120s').describe('how long it may take'),
      })
      .optional()
      .describe('loads a candidate in a container of its own and measures it; left out: those gates are inconclusive'),
    trainer: z
      .strictObject({
        run: path.default('/api/trainer/run').describe('path that starts a training run and answers 202'),
        status: path.default('/api/trainer/status').describe('path that tells of the last run'),
        versions: path.describe('directory inside the container where a run leaves its version'),
        timeout: duration.prefault('2h').describe('how long a run may take'),
      })
      .optional()
      .describe("the application's trainer, for `appliance models retrain`"),
    bake: duration.prefault('60s').describe('how long a promoted model is watched before the promotion is done'),
  })
  .describe('the models of the application; left out, the commands about models know nothing of a running process');
export type ModelsConfig = z.output<typeof modelsSchema>;
