/**
 * Dashboards as data. A board lists panels; `dashboard` makes of it what Grafana reads. Nothing in here knows a metric.
 */

/** Uid of the one datasource, fixed so that no dashboard ever has to be told where its data are. */
export const datasourceUid = 'appliance-prometheus';
const datasource = { type: 'prometheus', uid: datasourceUid } as const;

/** Grafana's names of the units that panels use. */
type Unit = 'short' | 'none' | 'percentunit' | 'percent' | 's' | 'reqps' | 'ops' | 'bytes' | 'bool_yes_no' | 'string';

/** From this value on, the colour; the lowest colour is below the first. */
interface Threshold {
  readonly from: number;
  readonly colour: 'green' | 'yellow' | 'orange' | 'red';
}

interface Query {
  readonly expr: string;
  /** `{{release}}`: what a line is called. */
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  /** What it shows and which demand it answers, such as S2-19. */
  readonly about: string;
  readonly kind: 'stat' | 'timeseries';
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** Colour below the first threshold; default green. */
  readonly below?: Threshold['colour'];
  readonly thresholds?: readonly Threshold[];
  readonly min?: number;
  readonly max?: number;
  /** Show the legend instead of the value: for series that carry a name and are always 1. */
  readonly nameOnly?: true;
}

export interface Board {
  /** Stable: links and the home dashboard go by it. */
  readonly uid: string;
  readonly title: string;
  readonly about: string;
  readonly tags: readonly string[];
  readonly panels: readonly Panel[];
}

/** Columns of Grafana's grid, and what a panel takes of it. */
const columns = 24;
const sizes = { stat: { w: 4, h: 4 }, timeseries: { w: 12, h: 8 } } as const;

/** The JSON of a dashboard. Pure: the same board gives the same text. */
export function dashboard(board: Board): Record<string, unknown> {
  let [x, y, height] = [0, 0, 0];
  const panels = board.panels.map((panel, index) => {
    const { w, h } = sizes[panel.kind];
    if (x + w > columns || (height !== 0 && h !== height)) [x, y, height] = [0, y + height, 0];
    const gridPos = { x, y, w, h };
    x += w;
    height = h;
    return panelJson(panel, index + 1, gridPos);
  });
  return {
    uid: board.uid,
    title: board.title,
    description: board.about,
    tags: ['appliance', ...board.tags],
    schemaVersion: 39,
    version: 1,
    editable: false,
    graphTooltip: 1,
    timezone: 'utc',
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    annotations: { list: annotations },
    templating: { list: [] },
    links: [{ type: 'dashboards', title: 'Appliance', tags: ['appliance'], asDropdown: true }],
    panels,
  };
}

/** Deploys and rollbacks, as lines through every graph. */
export const annotationQueries = ['deploy', 'rollback'].map((kind) => ({
  kind,
  expr: `sum by (kind, result) (increase(appliance_operation_duration_seconds_count{kind="${kind}"}[1m])) > 0`,
}));

const annotations = annotationQueries.map(({ kind, expr }) => ({
  name: `${kind}s`,
  datasource,
  enable: true,
  iconColor: kind === 'deploy' ? 'blue' : 'orange',
  expr,
  step: '60s',
  titleFormat: '{{kind}} {{result}}',
}));

function panelJson(panel: Panel, id: number, gridPos: object): Record<string, unknown> {
  const { title, about, kind, unit, queries, below = 'green', thresholds = [], min, max, nameOnly } = panel;
  const steps = [
    { color: below, value: null },
    ...thresholds.map(({ from, colour }) => ({ color: colour, value: from })),
  ];
  return {
    id,
    title,
    description: about,
    type: kind,
    gridPos,
    datasource,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr,
      legendFormat: legend,
      ...(kind === 'stat' ? { instant: true, range: false } : { range: true }),
    })),
    fieldConfig: {
      defaults: {
        unit,
        thresholds: { mode: 'absolute', steps },
        color: { mode: kind === 'stat' ? 'thresholds' : 'palette-classic' },
        ...(min === undefined ? {} : { min }),
        ...(max === undefined ? {} : { max }),
        ...(kind === 'timeseries'
          ? {
              custom: {
                drawStyle: 'line',
                fillOpacity: 8,
                showPoints: 'never',
                ...(thresholds.length > 0 ? lines : {}),
              },
            }
          : {}),
      },
      overrides: [],
    },
    options:
      kind === 'stat'
        ? {
            textMode: nameOnly ? 'name' : 'auto',
            colorMode: 'value',
            graphMode: 'none',
            reduceOptions: { calcs: ['lastNotNull'] },
          }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  };
}

const lines = { thresholdsStyle: { mode: 'line' } } as const;
