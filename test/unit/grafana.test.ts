import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { dashboard, datasourceUid } from '../../grafana/board.ts';
import { boards } from '../../grafana/boards/index.ts';

const grafana = join(import.meta.dirname, '../../grafana');

interface Grid {
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
}
const cells = (panels: readonly Grid[]) =>
  panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );

describe('the dashboards', () => {
  it('are those that the documents ask for (S1-37, S2-26), and no others', () => {
    expect(boards.map(({ title }) => title)).toEqual([
      'Routing ML Overview',
      'Model Training Metrics',
      'API Performance',
      'Model Metrics',
      'Business Metrics',
      'Appliance',
    ]);
    expect(readdirSync(join(grafana, 'dashboards')).sort()).toEqual(boards.map(({ uid }) => `${uid}.json`).sort());
  });

  it.each(boards)('$title: the file is what the board says (npm run dashboards)', (board) => {
    const text = readFileSync(join(grafana, 'dashboards', `${board.uid}.json`), 'utf8');
    expect(text).toBe(`${JSON.stringify(dashboard(board), null, 2)}\n`);
  });

  it.each(boards)('$title: no panel lies on another, each says what it shows', (board) => {
    const { panels } = dashboard(board) as { panels: readonly Grid[] };
    const taken = cells(panels);
    expect(new Set(taken).size).toBe(taken.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (const panel of board.panels) {
      expect(panel.about.length).toBeGreaterThan(15);
      const steps = (panel.thresholds ?? []).map(({ from }) => from);
      expect(steps).toEqual([...steps].sort((a, b) => a - b));
    }
  });

  it('find their data on every host: one datasource with a fixed uid', () => {
    const { datasources } = parse(readFileSync(join(grafana, 'provisioning/datasources/appliance.yaml'), 'utf8'));
    expect(datasources.map(({ uid }: { uid: string }) => uid)).toEqual([datasourceUid]);
    for (const board of boards) {
      const uids = [...JSON.stringify(dashboard(board)).matchAll(/"uid":"([^"]+)"/g)].map(([, uid]) => uid);
      expect(new Set(uids)).toEqual(new Set([board.uid, datasourceUid]));
    }
  });
});
