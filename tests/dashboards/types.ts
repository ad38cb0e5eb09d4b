// The types that the dashboards have to fit: Grafana's own, narrowed to what is used here, so that a key that
// Grafana does not know, or a wrong value, is an error of the compiler.
import type {
  AnnotationQuery, Dashboard, DashboardLink, DataTransformerConfig, FieldConfig, Panel, RowPanel, ValueMapping, VariableModel,
} from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type { Options as HeatmapOptions } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { FieldConfig as HeatmapField } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimelineOptions, FieldConfig as TimelineField } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { TableFieldOptions } from '@grafana/schema';
import type { Options as SeriesOptions, FieldConfig as SeriesField } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** The values of enums as JSON has them: the text or number behind the name. */
type Plain<T> = T extends string ? `${T}` : T extends number ? number : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

/** A query of the Prometheus data source. */
interface Query {
  refId: string;
  datasource: { type: 'prometheus'; uid: '${datasource}' };
  expr: string;
  editorMode: 'code';
  instant: boolean;
  range: boolean;
  legendFormat?: string;
  format?: 'table' | 'heatmap' | 'time_series';
}

/** Grafana anchors a pattern that has no slashes around it, so that one for a part of a name matches nothing. */
type Matcher = { id: 'byName'; options: string } | { id: 'byRegexp'; options: `/${string}/` };

type Common = Required<Pick<Panel, 'id' | 'title' | 'description' | 'gridPos' | 'datasource'>> & {
  targets: Query[];
  transformations?: DataTransformerConfig[];
};

/** A panel of one kind, with that kind's own options. */
type Of<Kind extends string, Options, Custom> = Common & {
  type: Kind;
  options: Options;
  fieldConfig: {
    defaults: Omit<FieldConfig, 'custom' | 'mappings'> & { unit: string; custom?: Partial<Custom>; mappings?: ValueMapping[] };
    overrides: Array<{ matcher: Matcher; properties: Array<{ id: string; value?: unknown }> }>;
  };
};

/** A row; one that is collapsed holds its panels. */
type Row = Omit<RowPanel, 'panels'> & { panels: DataPanel[] };

type KnownPanel = Row | DataPanel;

type DataPanel =
  | Of<'heatmap', Omit<HeatmapOptions, 'calculation' | 'rowsFrame'> & { rowsFrame: { layout: 'auto' } }, HeatmapField>
  | Of<'stat', StatOptions, never>
  | Of<'state-timeline', Omit<TimelineOptions, 'timezone'>, TimelineField>
  | Of<'table', Omit<TableOptions, 'frameIndex' | 'showTypeIcons'> & { footer: unknown }, TableFieldOptions>
  | Of<'timeseries', Omit<SeriesOptions, 'timezone' | 'orientation'>, SeriesField>;

type Variable = VariableModel & { definition?: string };
type Annotation = AnnotationQuery & { expr?: string; step?: string; titleFormat?: string; textFormat?: string; useValueForTime?: boolean };

/** What grafana.com and the import ask for; Grafana's schema of a dashboard does not have it. */
interface ForImport {
  __inputs: never[];
  __elements: Record<string, never>;
  __requires: Array<{ type: 'grafana' | 'datasource' | 'panel'; id: string; name: string; version: string }>;
}

export type Checked = ForImport & Plain<
  Omit<Dashboard, 'panels' | 'templating' | 'annotations' | 'links' | 'snapshot'> & {
    panels: KnownPanel[];
    templating: { list: Variable[] };
    annotations: { list: Annotation[] };
    links: DashboardLink[];
  }
>;
