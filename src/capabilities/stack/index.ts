/**
 * The stack: the user's Compose project as one long-lived core and two colours (DESIGN §3).
 *
 * From a checkout to containers, in this order:
 * - `resolveProject` asks Compose what the project is and matches it with appliance.yaml → `ResolvedProject`;
 * - `freezeProject` copies what it mounts into the release → `Project` (parse it back with `projectSchema`);
 * - `plannedImages`, `imagesModel`: which images it needs, and the model that builds and pulls them;
 * - `chooseSubnets` (with `parseRoutes`) picks the networks; `coreModel` is the core project;
 * - `colourModel` is the project of a release in a colour, `migrateModel` its migration, `topologyOf` its addresses;
 * - `createStackSteps` are the steps that act on the engine with these models.
 *
 * Resolving and freezing read and write files, the steps act; the rest are pure functions.
 */
export { colourModel, containerNames, migrateModel, topologyOf } from './colour-model.ts';
export { type CoreRequest, coreModel } from './core-model.ts';
export { freezeProject } from './freeze.ts';
export { bundledImage, imageKey, imagesModel, isBundled, plannedImages } from './images.ts';
export { type Project, projectSchema, type ResolvedProject, releaseImage, servicesOf } from './project.ts';
export { resolveProject } from './resolve.ts';
export { bake } from './steps/bake.ts';
export type { BuiltImages, StackDeps, StackRelease } from './steps/deps.ts';
export { createStackSteps } from './steps/index.ts';
export { restartContainer } from './steps/restart-service.ts';
export { colourHealth } from './steps/wait-healthy.ts';
export { chooseSubnets, parseRoutes, type Subnets } from './subnets.ts';
export { labelKeys } from './transform.ts';
