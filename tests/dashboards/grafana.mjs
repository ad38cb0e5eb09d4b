// What Grafana makes of a panel and of what Prometheus answered, by Grafana's own code: frames, transformations, field
// options with their overrides, display values. The one part of it that is written here is how an answer becomes a frame
// (Grafana's data source does that on its server), and that was written after its documentation.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { firstValueFrom } from 'rxjs';

// Grafana's code expects a browser and asks it for its language.
globalThis.navigator ??= { language: 'en-US', languages: ['en-US'], userAgent: 'node' };
const grafana = createRequire(import.meta.url)('@grafana/data');
// Not before it is loaded: a part of it would look for a document.
globalThis.window ??= globalThis;

export const FOLDER = process.env.DASHBOARDS;
export const theme = (mode) => grafana.createTheme({ colors: { mode } });

export function dashboard(name) {
  return JSON.parse(readFileSync(`${FOLDER}/${name}.json`, 'utf8'));
}

/** The panels of a dashboard, those of collapsed rows included, without the rows. */
export function panels(board) {
  const all = board.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  return all.filter((panel) => panel.type !== 'row');
}

/** Every panel of both dashboards with the name of its dashboard. */
export function everyPanel() {
  return ['overview', 'pair'].flatMap((name) => panels(dashboard(name)).map((panel) => ({ name, panel })));
}

export function panelCalled(name, title) {
  const found = panels(dashboard(name)).filter((panel) => panel.title === title);
  if (found.length !== 1) {
    throw new Error(`${name} has ${found.length} panels called ${title}`);
  }
  return found[0];
}

const recorded = () => JSON.parse(readFileSync(process.env.ANSWERS, 'utf8'));

/** What a real Prometheus answered to the panel's queries: of a fleet in trouble, or without an exporter. */
export function answersOf(name, panel, scene) {
  const all = recorded()[scene].filter((answer) => answer.dashboard === name && answer.panel === panel.id);
  return new Map(all.map((answer) => [answer.refId, answer.result]));
}

const number = (text) => (text === 'NaN' ? NaN : text === '+Inf' ? Infinity : Number(text));
const points = (series) => series.values ?? [series.value];

function seriesFrames(target, result) {
  return result.map((series) => {
    const labels = Object.fromEntries(Object.entries(series.metric).filter(([name]) => name !== '__name__'));
    const legend = target.legendFormat?.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');
    return grafana.toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: 'time', values: points(series).map(([time]) => time * 1000) },
        { name: 'Value', type: 'number', labels, values: points(series).map(([, value]) => number(value)), config: legend ? { displayNameFromDS: legend } : {} },
      ],
    });
  });
}

function tableFrame(target, result, alone) {
  const names = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].filter((name) => name !== '__name__').sort();
  return grafana.toDataFrame({
    refId: target.refId,
    fields: [
      // Grafana asks all queries of a panel for one instant; the recording took some time.
      { name: 'Time', type: 'time', values: result.map(() => 0) },
      ...names.map((name) => ({ name, type: 'string', values: result.map((series) => series.metric[name] ?? '') })),
      { name: alone ? 'Value' : `Value #${target.refId}`, type: 'number', values: result.map((series) => number(series.value[1])) },
    ],
  });
}

function frames(panel, answers) {
  const targets = panel.targets.filter((target) => (answers.get(target.refId) ?? []).length > 0);
  return targets.flatMap((target) =>
    target.format === 'table' ? [tableFrame(target, answers.get(target.refId), targets.length === 1)] : seriesFrames(target, answers.get(target.refId)),
  );
}

const transformers = [...new Map(Object.values(grafana.standardTransformers).map((known) => [known.id, known])).values()];
grafana.standardTransformersRegistry.setInit(() =>
  transformers.map((transformation) => ({ id: transformation.id, name: transformation.name, transformation: async () => transformation, editor: () => null, imageDark: '', imageLight: '' })),
);

const STANDARD = ['unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'color', 'thresholds', 'mappings', 'links'];
const CUSTOM = ['drawStyle', 'lineWidth', 'lineStyle', 'fillOpacity', 'fillBelowTo', 'showPoints', 'spanNulls', 'axisPlacement', 'cellOptions', 'width', 'align', 'filterable'];
const option = (id, path, isCustom) => ({ id, path, isCustom, name: id, process: grafana.identityOverrideProcessor, override: () => null, editor: () => null, settings: {}, shouldApply: () => true });
const registry = new grafana.FieldConfigOptionsRegistry(() => [
  ...STANDARD.map((id) => option(id, id, false)),
  ...CUSTOM.map((id) => option(`custom.${id}`, id, true)),
]);
export const KNOWN_PROPERTIES = new Set(registry.list().map((item) => item.id));

const common = { replaceVariables: (text) => text, timeZone: 'utc' };

/** The frames of a panel as it draws them: transformed, with the options of every field. */
export async function drawn(panel, answers, mode = 'dark') {
  const data = await firstValueFrom(grafana.transformDataFrame(panel.transformations ?? [], frames(panel, answers), { interpolate: (text) => text }));
  return grafana.applyFieldOverrides({ ...common, data, fieldConfig: panel.fieldConfig, fieldConfigRegistry: registry, theme: theme(mode) });
}

/** What a stat panel shows: a name, a text with its unit, a colour. */
export async function stats(panel, answers) {
  const data = await drawn(panel, answers);
  const shown = grafana.getFieldDisplayValues({ ...common, data, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, theme: theme('dark') });
  return shown.map(({ display }) => ({ name: display.title, text: grafana.formattedValueToString(display), color: display.color }));
}

/** Whether a matcher of an override fits a field of the frames. */
export function fits(matcher, data) {
  const fit = grafana.fieldMatchers.get(matcher.id).get(matcher.options);
  return data.some((frame) => frame.fields.some((field) => fit(field, frame, data)));
}

export const nameOf = (field, frame, data) => grafana.getFieldDisplayName(field, frame, data);

/** The rows of a table as the reader sees them, by the names of the columns, after the table's own sorting. */
export async function rows(panel, answers) {
  const [first] = await drawn(panel, answers);
  const columns = first.fields.map((field) => nameOf(field, first, [first]));
  let frame = first;
  for (const { displayName, desc } of [...panel.options.sortBy].reverse()) {
    frame = grafana.sortDataFrame(frame, columns.indexOf(displayName), desc);
  }
  const cell = (field, row) => {
    const value = field.values[row];
    return { value, text: written(field, value), color: field.display(value).color };
  };
  return Array.from({ length: frame.length }, (_, row) => Object.fromEntries(frame.fields.map((field, at) => [columns[at], cell(field, row)])));
}

/** The text of a value in the unit of a field. */
export const written = (field, value) => grafana.formattedValueToString(field.display(value));
