/** Configuration of an appliance: appliance.yaml and the environment file, read, checked and explained. */
export { effective } from './effective.ts';
export { readEnvironment, secretValues } from './environment.ts';
export { keepLastGood, loadConfig } from './load.ts';
export { configJsonSchema } from './outline.ts';
export { loadConfigUnderPolicy } from './under-policy.ts';
