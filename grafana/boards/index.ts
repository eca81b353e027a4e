import type { Board } from '../board.ts';
import { api } from './api.ts';
import { appliance } from './appliance.ts';
import { business } from './business.ts';
import { model } from './model.ts';
import { overview } from './overview.ts';
import { training } from './training.ts';

/** Every dashboard there is (S1-37, S2-26). */
export const boards: readonly Board[] = [overview, training, api, model, business, appliance];
