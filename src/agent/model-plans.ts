import type { ParsedInput } from '../api/routes.ts';
import { readManifest } from '../capabilities/models/manifest-file.ts';
import { readPointer } from '../capabilities/models/pointer.ts';
import { hasProvenItself, type ModelVersion } from '../capabilities/models/registry.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Actor } from '../operations/journal.ts';
import type { PlannedStep } from '../operations/step.ts';
import { planSplit, planSplitEnd } from '../recipes/model-split.ts';
import {
  type ModelSide,
  type PromotionFacts,
  planModelRollback,
  planPromotion,
  planRetraining,
} from '../recipes/models.ts';
import type { Appliance } from './appliance.ts';
import { assertSplits, type Compared, isBetter, nothingBeside, otherSplit, shareOf } from './model-choice.ts';
import { requireModels } from './model-service.ts';
import type { Prepared } from './operations.ts';

/** Turns wishes about models into plans. */
export class ModelPlans {
  readonly #a: Pick<Appliance, 'modelService' | 'modelSteps' | 'clock' | 'config' | 'journal'>;

  constructor(appliance: Pick<Appliance, 'modelService' | 'modelSteps' | 'clock' | 'config' | 'journal'>) {
    this.#a = appliance;
  }

  /**
   * With a weight: for a share of the requests, beside the model in force (S3-25).
   * @throws ApplianceError `model_not_found`, `model_invalid` for an archived version; `usage` while another version has a
   *   share, or without a version while none has; `config_invalid` for a weight where the application knows of no such thing
   */
  async promote(input: ParsedInput<'modelsPromote'>, actor: Actor): Promise<Prepared> {
    const { service, steps } = this.#parts();
    const split = await service.split();
    const candidate = this.#promotable(input.version ?? this.#compared(split));
    const baseline = await service.inForce();
    if (split && split.version?.id !== candidate.id) throw otherSplit(split.split);
    if (input.weight !== undefined) {
      assertSplits(service.splits);
      if (!baseline || baseline.id === candidate.id) throw nothingBeside(candidate, baseline);
      const facts = await this.#facts(candidate, baseline, input, actor);
      const plan = planSplit({ ...facts, baseline, weight: input.weight }, steps);
      return this.#prepared('model-promote', candidate, baseline, plan);
    }
    const plan =
      baseline?.id === candidate.id
        ? this.#nothing(candidate)
        : planPromotion(await this.#facts(candidate, baseline, input, actor), steps);
    return this.#prepared('model-promote', candidate, baseline, plan);
  }

  /**
   * While a version has a share of the requests, the way back without a version is to take that share away.
   * @throws ApplianceError `model_not_found` when there is no version before the one in force; `model_invalid` for one that
   * is archived, or has neither served nor passed its gates: the way back asks none, so it must not be a way around them
   */
  async rollback(input: ParsedInput<'modelsRollback'>, actor: Actor): Promise<Prepared> {
    const { service, steps } = this.#parts();
    const baseline = await service.inForce();
    const split = input.version === undefined ? await service.split() : null;
    if (split) return this.#endSplit(split, baseline, input, actor);
    const candidate = this.#promotable(input.version ?? this.#previous(baseline));
    if (!hasProvenItself(candidate) && candidate.id !== baseline?.id)
      throw new ApplianceError(
        'model_invalid',
        `${candidate.name}@${candidate.version} has neither served nor passed its gates, and the way back asks none`,
        { left: 'nothing was touched', hint: `appliance models promote ${candidate.name}@${candidate.version}` },
      );
    const wish = { ...input, acceptInconclusive: true };
    const plan =
      baseline?.id === candidate.id
        ? this.#nothing(candidate)
        : planModelRollback(await this.#facts(candidate, baseline, wish, actor), steps);
    return this.#prepared('model-rollback', candidate, baseline, plan);
  }

  /**
   * The steps after a rollback of the release that put the model in force again with which that release ran: a release is
   * one unit (DESIGN §1.1). None of them fails the rollback: traffic stays on the release that somebody wanted back.
   */
  async restoring(tag: string, actor: Actor): Promise<PlannedStep[]> {
    const { modelService: service, modelSteps: steps, journal } = this.#a;
    if (!service || !steps) return [];
    const left = journal
      .recent(1_000)
      .find(
        ({ kind, result, origin, target }) => isShift(kind) && result === 'done' && origin === tag && target !== tag,
      );
    const leftAt = left && (left.shiftedAt ?? left.endedAt);
    if (leftAt === undefined || leftAt === null) return [];
    const registry = service.registry();
    const then = registry
      .history({ limit: 10_000 })
      .find(({ event, at }) => ['promoted', 'rolled-back', 'taken-over'].includes(event) && at <= leftAt);
    const [baseline, candidate] = [await service.inForce(), then && registry.version(then.name, then.version)];
    if (!candidate || candidate.state === 'archived' || candidate.id === baseline?.id) return [];
    const wish = { reason: `release ${tag} ran with it`, acceptInconclusive: true };
    const plan = planModelRollback(await this.#facts(candidate, baseline, wish, actor), steps);
    return plan.map((step) => ({ ...step, optional: true, pivot: false }));
  }

  /** Trains, registers, and promotes what came out if it is better than what is in force (S3-26). */
  async retrain(input: ParsedInput<'modelsRetrain'>, actor: Actor): Promise<Prepared> {
    const { service, steps } = this.#parts();
    const { models } = this.#a.config;
    if (!models?.trainer)
      throw new ApplianceError('config_invalid', 'appliance.yaml has no models.trainer', {
        left: 'nothing was touched',
        hint: 'say there how the application is asked to train (docs/guide/models.md)',
      });
    const split = await service.split();
    if (split) throw otherSplit(split.split);
    const baseline = await service.inForce();
    const marker = `training of ${new Date(this.#a.clock.now()).toISOString()}`;
    const train = planRetraining({ marker, actor: actor.user, timeout: models.trainer.timeout }, steps);
    const promote = async (): Promise<PlannedStep[]> => {
      const trained = service
        .registry()
        .page({ limit: 20 })
        .find(({ source }) => source === marker);
      if (!trained || !isBetter(trained, baseline, await this.#servedMetrics(baseline))) return [];
      return planPromotion(await this.#facts(trained, await service.inForce(), input, actor), steps);
    };
    const target = baseline?.name ?? null;
    return { kind: 'model-retrain', target, origin: baseline?.version ?? null, phases: [async () => train, promote] };
  }

  async #facts(
    candidate: ModelSide,
    baseline: ModelVersion | null,
    input: {
      readonly reason?: string | undefined;
      readonly acceptInconclusive: boolean;
      readonly bake?: number | undefined;
    },
    actor: Actor,
  ): Promise<PromotionFacts> {
    const { service } = this.#parts();
    const policy = await service.judgement.policy();
    const split = await service.split();
    return {
      candidate,
      baseline,
      split: split && shareOf(split),
      actor: actor.user,
      reason: input.reason ?? null,
      acceptInconclusive: input.acceptInconclusive,
      bake: input.bake ?? service.bake,
      patience: policy?.bake?.patience ?? 0,
      confirm: service.patience,
    };
  }

  async #endSplit(
    split: Compared,
    baseline: ModelVersion | null,
    input: ParsedInput<'modelsRollback'>,
    actor: Actor,
  ): Promise<Prepared> {
    const share = shareOf(split);
    const wish = { ...input, acceptInconclusive: true };
    const facts = await this.#facts(share.candidate, baseline, wish, actor);
    const steps = planSplitEnd({ ...facts, split: share }, this.#parts().steps);
    // Of a version that the registry does not know, it cannot say anything.
    const plan = split.version ? steps : steps.filter(({ action }) => action !== 'record-split');
    return {
      kind: 'model-rollback',
      target: baseline && `${baseline.name}@${baseline.version}`,
      origin: `${share.candidate.name}@${share.candidate.version}`,
      phases: [async () => plan],
    };
  }

  #compared(split: Compared | null): string {
    if (split) return `${split.split.name}@${split.split.version}`;
    throw new ApplianceError('usage', 'no version has a share of the requests that could become all of them', {
      left: 'nothing was touched',
      hint: 'name one: appliance models promote VERSION; appliance models list shows them',
    });
  }

  #promotable(reference: string): ModelVersion {
    const version = this.#parts().service.registry().find(reference);
    if (version.state !== 'archived') return version;
    throw new ApplianceError('model_invalid', `${version.name}@${version.version} is archived`, {
      left: 'nothing was touched',
      hint: `bring it back first: appliance models archive --undo ${version.name}@${version.version}`,
    });
  }

  #previous(baseline: ModelVersion | null): string {
    const why = baseline
      ? `no version was in production before ${baseline.name}@${baseline.version}`
      : 'no version is in force that there could be a way back from';
    if (baseline && this.#parts().service.registry().hasAlias(baseline.name, 'previous'))
      return `${baseline.name}@previous`;
    throw new ApplianceError('model_not_found', why, {
      left: 'nothing was touched',
      hint: 'name one: appliance models rollback VERSION; appliance models list shows them',
    });
  }

  /** Metrics of what answers today, where that is the flat directory that a release brought. */
  async #servedMetrics(baseline: ModelVersion | null): Promise<Readonly<Record<string, number>>> {
    if (baseline) return baseline.metrics;
    const { service } = this.#parts();
    if ((await readPointer(service.directory)) !== null) return {};
    const found = await readManifest(service.directory).catch(() => null);
    return found ? service.metricsOf(found.path) : {};
  }

  #nothing(version: ModelVersion): PlannedStep[] {
    // Said again, it proves that processes have it loaded, and nothing else.
    return [
      this.#parts().steps.confirmModel.plan(
        { to: version },
        {
          title: `prove that running processes have loaded ${version.name}@${version.version}`,
          cause: 'it is in force already',
          deadline: this.#parts().service.patience,
        },
      ),
    ];
  }

  #prepared(kind: string, to: ModelVersion, from: ModelVersion | null, plan: PlannedStep[]): Prepared {
    const label = (side: ModelVersion): string => `${side.name}@${side.version}`;
    return { kind, target: label(to), origin: from && label(from), phases: [async () => plan] };
  }

  #parts() {
    const service = requireModels(this.#a.modelService);
    const { modelSteps: steps } = this.#a;
    if (!steps) throw new RangeError('a section models has its steps');
    return { service, steps };
  }
}

const isShift = (kind: string): boolean => kind === 'deploy' || kind === 'rollback';
