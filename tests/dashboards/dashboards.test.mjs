// The findings of the users' review about the dashboards (its section 4), each by its number.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answersOf, dashboard, drawn, everyPanel, fits, KNOWN_PROPERTIES, nameOf, panelCalled, rows, stats, theme, written } from './grafana.mjs';
import { assertQueries } from './promql.mjs';

const GREY = '#6E6E6E';
const BAD = '#C04F00';
const EXPORTER = ['redis_cross_dc_exporter_build_info{job="j",instance="i"}', '1x10'];
const pair = (name, extra = '') => `pair="${name}",source_dc="dc1",target_dc="dc2",replica="${name}:1"${extra}`;
const metric = (name, of, values) => [`redis_cross_dc_${name}{${of}}`, values];
const exprs = (panel) => panel.targets.map((target) => target.expr);
const inFleet = (name, panel) => answersOf(name, panel, 'fleet');
const withoutExporter = (name, panel) => answersOf(name, panel, 'no exporter');

/** The answers, and for a query that found nothing and has one fixed name a value, so that its override has a field. */
function eachOnce(panel, answers) {
  const now = [1_700_000_000, '1'];
  const fill = (target) => answers.get(target.refId)?.length || !target.legendFormat || target.legendFormat.includes('{{');
  const missing = panel.targets.filter((target) => !fill(target));
  return new Map([...answers, ...missing.map((target) => [target.refId, [{ metric: {}, value: now }]])]);
}

test('d1_no_calm_zeros_without_an_exporter', async () => {
  for (const { name, panel } of everyPanel()) {
    assert.ok(!exprs(panel).some((expr) => expr.includes('vector(0)')), panel.title);
    if (panel.type !== 'stat' || panel.title === 'Exporters') {
      continue;
    }
    const shown = await stats(panel, withoutExporter(name, panel));
    assert.deepEqual(shown.map(({ text, color }) => [text, color]), [[panel.fieldConfig.defaults.noValue, GREY]], panel.title);
  }
});

test('d1_a_zero_that_is_known_is_shown', () => {
  const of = (title) => exprs(panelCalled('overview', title))[0];
  const healthy = [metric('link_up', pair('a'), '1x10'), metric('pair_info', pair('a', ',master="m:1"'), '1x10'), metric('replication_lag_seconds', pair('a'), '0x10'),
    metric('server_up', 'dc="dc1",server="m:1"', '1x10'), EXPORTER];
  const titles = ['Pairs not streaming', 'Pairs of unknown lag', 'Servers that do not answer', 'Firing alerts'];
  assertQueries(healthy, titles.map((title) => [of(title), '5m', [0]]));
  const ill = [metric('link_up', pair('a'), '0x10'), metric('pair_info', pair('a', ',master="m:1"'), '1x10'), metric('server_up', 'dc="dc1",server="m:1"', '0x10'),
    metric('alerts', pair('a', ',alertname="x",severity="critical",state="firing"'), '1x10'), EXPORTER];
  assertQueries(ill, titles.map((title) => [of(title), '5m', [1]]));
});

test('d1_exporters_say_who_is_up', async () => {
  const panel = panelCalled('overview', 'Exporters');
  const before = await stats(panel, inFleet('overview', panel));
  assert.deepEqual(before.map(({ name, text }) => [name, text]), [['up', '1'], ['down', '0']]);
  assert.ok(before.every(({ color }) => color !== BAD && color !== GREY));
  const after = await stats(panel, withoutExporter('overview', panel));
  assert.deepEqual(after.map(({ name, text, color }) => [name, text, color]), [['up', '0', BAD], ['down', '1', BAD]]);
});

test('d2_data_at_risk_includes_lost_masters', () => {
  const [all, atLeast] = exprs(panelCalled('overview', 'Data at risk: at most'));
  const info = (name) => metric('pair_info', pair(name), '1x10');
  const series = [info('healthy'), metric('replication_lag_upper_bytes', pair('healthy'), '7x10'), metric('last_known_lag_upper_bytes', pair('healthy'), '9x10'),
    info('lost'), metric('last_known_lag_upper_bytes', pair('lost'), '5000000x10')];
  assertQueries(series, [[all, '5m', [5000007]], [atLeast, '5m', []]]);
  assertQueries([...series, info('never seen')], [[all, '5m', []], [atLeast, '5m', [5000007]]]);
});

test('d3_unknown_pairs_are_first_and_grey', async () => {
  const panel = panelCalled('overview', 'Pairs, worst first');
  const table = await rows(panel, inFleet('overview', panel));
  const names = table.map((row) => row.Pair.value);
  for (const name of ['healthy', 'cut', 'split', 'lost', 'first', 'hung']) {
    assert.ok(names.includes(name), `${name} of ${names}`);
  }
  assert.ok(table.every((row) => Number.isFinite(row.Level.value)), 'a level is never null, so that no comparator has to place it');
  const unknown = table.filter((row) => row.Lag.value == null);
  assert.ok(unknown.some((row) => row.Pair.value === 'lost'), 'the pair whose master is lost has no lag');
  assert.deepEqual(names.slice(0, unknown.length).sort(), unknown.map((row) => row.Pair.value).sort());
  for (const row of unknown) {
    assert.deepEqual([row.Lag.text, row.Lag.color], ['unknown', GREY]);
    assert.deepEqual([row.Level.text, row.Level.color], ['unknown', GREY]);
  }
  assert.equal(table.at(-1).Level.text, 'ok', `${names}`);
  const levels = table.map((row) => row.Level.value);
  assert.deepEqual(levels, [...levels].sort((a, b) => b - a));
});

test('d3_the_level_of_a_pair_is_that_of_its_alerts', () => {
  const [level] = exprs(panelCalled('overview', 'Pairs, worst first'));
  const known = (name, up) => [metric('pair_info', pair(name), '1x10'), metric('replication_lag_seconds', pair(name), '0x10'), metric('link_up', pair(name), `${up}x10`)];
  const alert = (name, severity) => metric('alerts', pair(name, `,alertname="x",severity="${severity}",state="firing"`), '1x10');
  const series = [...known('ok', 1), ...known('down', 0), ...known('warned', 1), alert('warned', 'warning'), ...known('bad', 0), alert('bad', 'warning'), alert('bad', 'critical'),
    metric('pair_info', pair('unknown'), '1x10'), alert('unknown', 'critical'), metric('alerts', 'alertname="y",severity="critical",state="firing",dc="dc1",server="s:1"', '1x10')];
  const of = (name, value) => [`{${pair(name)}}`, value];
  assertQueries(series, [[level, '5m', [of('ok', 0), of('down', 1), of('warned', 2), of('bad', 3), of('unknown', 4)]]]);
});

test('d4_every_override_matches_a_field', async () => {
  for (const { name, panel } of everyPanel()) {
    const data = await drawn(panel, eachOnce(panel, inFleet(name, panel)));
    for (const { matcher, properties } of panel.fieldConfig.overrides ?? []) {
      if (matcher.options === 'Web configuration in force') {
        continue; // the exporter of the test has none
      }
      const names = data.flatMap((frame) => frame.fields.map((field) => nameOf(field, frame, data)));
      assert.ok(fits(matcher, data), `${name}, ${panel.title}: ${matcher.options} fits none of ${names.join(', ')}`);
      assert.ok(properties.every(({ id }) => KNOWN_PROPERTIES.has(id)), `${panel.title}: ${matcher.options}`);
    }
  }
});

test('d4_bounds_are_dashed_and_dotted', async () => {
  const panel = panelCalled('pair', 'Lag with its certified bounds');
  const data = await drawn(panel, inFleet('pair', panel));
  const styles = new Map(data.map((frame) => {
    const field = frame.fields[1];
    return [nameOf(field, frame, data).split(' ').slice(-2).join(' '), field.config.custom.lineStyle?.fill];
  }));
  assert.deepEqual([styles.get('at most'), styles.get('at least')], ['dash', 'dot']);
});

test('d5_no_value_has_no_colour_of_ok', async () => {
  for (const { panel } of everyPanel()) {
    if (panel.type !== 'stat') {
      continue;
    }
    const [{ text, color }] = await stats(panel, new Map());
    assert.deepEqual([text, color], [panel.fieldConfig.defaults.noValue, GREY], panel.title);
    assert.ok(text.length > 1, panel.title);
  }
});

test('d6_of_two_exporters_the_bounds_intersect', () => {
  for (const { panel } of everyPanel()) {
    for (const expr of exprs(panel)) {
      const uses = [...expr.matchAll(/(min|max) by \([^)]*\) \(redis_cross_dc_replication_lag_(upper|lower)_/g)].map(([, f, bound]) => `${f} ${bound}`);
      const all = [...expr.matchAll(/redis_cross_dc_replication_lag_(upper|lower)_/g)];
      assert.equal(uses.length, all.length, `${panel.title}: ${expr}`);
      assert.ok(uses.every((use) => use === 'min upper' || use === 'max lower'), `${panel.title}: ${uses}`);
    }
  }
  const [upper, lower] = exprs(panelCalled('overview', 'Largest lag of any pair, with its certified bounds'));
  const of = (bound, exporter, value) => metric(`replication_lag_${bound}_seconds`, pair('a', `,instance="${exporter}"`), `${value}x10`);
  const series = [of('upper', 'isolated', 500), of('upper', 'well', 3), of('lower', 'isolated', 0), of('lower', 'well', 2)];
  assertQueries(series, [[upper, '5m', [3]], [lower, '5m', [2]]]);
});

test('d7_the_drill_down_is_by_pair_alone_and_encoded', () => {
  const panel = panelCalled('overview', 'Pairs, worst first');
  const links = panel.fieldConfig.overrides.flatMap(({ properties }) => properties.filter(({ id }) => id === 'links').flatMap(({ value }) => value));
  const urls = links.map(({ url }) => url);
  assert.ok(urls.some((url) => url.startsWith('/d/redis-cross-dc-pair?')));
  for (const url of urls) {
    assert.ok(url.includes('${__data.fields.Pair:percentencode}'), url);
    assert.ok(!/var-(replica|source_dc|target_dc)/.test(url), url);
  }
});

test('d8_thresholds_are_the_configured_ones', () => {
  const panel = panelCalled('overview', 'Worst lag');
  const [critical, warning, atLeast, below] = exprs(panel);
  const threshold = (name, severity, value) => metric('alert_threshold', `rule="lag_seconds",severity="${severity}",${pair(name)}`, `${value}x10`);
  const of = (name, lag) => [metric('pair_info', pair(name), '1x10'), metric('replication_lag_seconds', pair(name), `${lag}x10`),
    metric('replication_lag_lower_seconds', pair(name), `${lag}x10`), threshold(name, 'warning', 10), threshold(name, 'critical', 40)];
  const shows = (series, values) => assertQueries(series, [critical, warning, atLeast, below].map((expr, at) => [expr, '5m', values[at]]));
  shows(of('a', 9), [[], [], [], [9]]);
  shows(of('a', 29), [[], [29], [], []]);
  shows([...of('a', 29), ...of('b', 41)], [[41], [], [], []]);
  shows([...of('a', 9), metric('pair_info', pair('unknown'), '1x10')], [[], [], [9], []]);
  for (const { panel: any } of everyPanel()) {
    const config = JSON.stringify(any.fieldConfig);
    assert.ok(!/"value":(30|120)[,}]/.test(config), `${any.title} has a threshold of its own`);
  }
  for (const [name, title] of [['overview', 'Lag of the ten worst pairs'], ['pair', 'Lag with its certified bounds']]) {
    const legends = panelCalled(name, title).targets.filter(({ expr }) => expr.includes('alert_threshold')).map(({ legendFormat }) => legendFormat);
    assert.deepEqual(legends, ['lowest warning threshold', 'lowest critical threshold']);
  }
});

test('d8_a_pair_without_its_own_thresholds_has_the_default_ones', () => {
  const worst = exprs(panelCalled('overview', 'Worst lag'));
  const lines = panelCalled('overview', 'Lag of the ten worst pairs').targets.filter(({ expr }) => expr.includes('alert_threshold'));
  const of = (name, lag) => [metric('pair_info', pair(name), '1x10'), metric('replication_lag_seconds', pair(name), `${lag}x10`),
    metric('replication_lag_lower_seconds', pair(name), `${lag}x10`)];
  const defaults = [['warning', 10], ['critical', 40]].map(([severity, value]) => metric('alert_default_threshold', `rule="lag_seconds",severity="${severity}"`, `${value}x10`));
  const own = (name, severity, values) => metric('alert_threshold', `rule="lag_seconds",severity="${severity}",${pair(name)}`, values);
  // What a level that is off for one pair only is exported as.
  const never = Array(11).fill('Inf').join(' ');
  const shows = (series, values, levels) => assertQueries(series, [...worst.map((expr, at) => [expr, '5m', values[at]]), ...lines.map(({ expr }, at) => [expr, '5m', levels[at]])]);
  shows([...of('a', 29), ...defaults], [[], [29], [], []], [[10], [40]]);
  shows([...of('a', 41), ...defaults], [[41], [], [], []], [[10], [40]]);
  shows([...of('a', 29), ...defaults, own('a', 'warning', '30x10')], [[], [], [], [29]], [[30], [40]]);
  shows([...of('a', 29), ...defaults, own('a', 'warning', never)], [[], [], [], [29]], [[], [40]]);
  shows([...of('a', 29), ...of('b', 5), ...defaults, own('a', 'warning', '30x10')], [[], [], [], [29]], [[10], [40]]);
  shows(of('a', 29), [[], [], [], [29]], [[], []]);
});

test('d9_an_annotation_of_full_syncs_works_at_one_scrape_a_minute', () => {
  const note = dashboard('overview').annotations.list.find(({ name }) => name === 'Full syncs');
  const series = [metric('pair_info', pair('a', ',master="m:1"'), '1x20'), metric('full_syncs_total', 'dc="dc1",server="m:1"', '0x5 1x15'),
    metric('full_syncs_total', 'dc="dc1",server="other:1"', '0x5 1x15')];
  assertQueries(series, [[`count(${note.expr})`, '5m', []], [`count(${note.expr})`, '6m', [1]], [`count(${note.expr})`, '12m', []]]);
});

test('d9_panels_of_servers_follow_the_selection', () => {
  const about = /redis_cross_dc_(server_|full_syncs|partial_syncs|poll_errors|poll_last_success)/;
  for (const { panel } of everyPanel()) {
    for (const expr of exprs(panel).filter((text) => about.test(text))) {
      assert.match(expr, /and on \(server\) group by \(server\)/, panel.title);
    }
  }
});

test('d9_directions_say_unknown_and_no_pair_apart', async () => {
  const panel = panelCalled('overview', 'Worst lag of each direction');
  const [expr] = exprs(panel);
  const of = (name, source, target) => `pair="${name}",source_dc="${source}",target_dc="${target}",replica="${name}:1"`;
  const series = [metric('pair_info', of('a', 'dc1', 'dc2'), '1x10'), metric('replication_lag_seconds', of('a', 'dc1', 'dc2'), '3x10'), metric('pair_info', of('b', 'dc2', 'dc1'), '1x10')];
  assertQueries(series, [[`${expr} > 0`, '5m', [['{source_dc="dc1",target_dc="dc2"}', 3]]], [`count(${expr})`, '5m', [2]]]);
  const data = await drawn(panel, new Map([['A', [
    { metric: { source_dc: 'dc1', target_dc: 'dc2' }, value: [1, '90'] }, { metric: { source_dc: 'dc2', target_dc: 'dc1' }, value: [1, 'NaN'] }]]]));
  const cell = (row, column) => {
    const rowAt = data[0].fields[0].values.indexOf(row);
    const field = data[0].fields.find(({ name }) => name === column);
    return { text: written(field, field.values[rowAt]), color: field.display(field.values[rowAt]).color };
  };
  assert.equal(cell('dc1', 'dc2').text, '1.50 mins');
  assert.deepEqual(cell('dc2', 'dc1'), { text: 'unknown', color: GREY });
  assert.equal(cell('dc1', 'dc1').text, '-');
});

test('d9_units_are_those_of_the_metrics', async () => {
  const unit = (expr) => {
    if (/rate\([^)]*bytes_total/.test(expr)) return 'Bps';
    // Bytes as a part of bytes.
    if (/_bytes\{[^}]*\}\) \/ on/.test(expr)) return 'percentunit';
    return /_seconds|time\(\)/.test(expr) ? 's' : 'bytes';
  };
  for (const { name, panel } of everyPanel()) {
    if (panel.type !== 'timeseries' || !exprs(panel).some((expr) => /_bytes|_seconds[^_]/.test(expr))) {
      continue;
    }
    const data = await drawn(panel, inFleet(name, panel));
    for (const frame of data) {
      const { expr } = panel.targets.find(({ refId }) => refId === frame.refId);
      assert.equal(frame.fields[1].config.unit, unit(expr), `${name}, ${panel.title}: ${expr}`);
    }
  }
});

test('d9_the_exporters_have_a_row_of_their_own', async () => {
  const panel = panelCalled('overview', 'Exporters');
  assert.equal(panel.type, 'stat');
  const table = panelCalled('overview', 'Each exporter');
  const [up] = await rows(table, inFleet('overview', table));
  assert.deepEqual([up.Up.text, up['Configuration in force'].text, up['State kept'].text], ['yes', 'yes', 'yes']);
  // None on a machine that has time for it.
  assert.match(up['Polls lost'].text, /^\d+$/);
  const [gone] = await rows(table, withoutExporter('overview', table));
  assert.deepEqual([gone.Up.text, gone.Up.color], ['no', BAD]);
});

test('d9_heartbeats_are_folded', () => {
  const row = dashboard('pair').panels.find(({ title }) => title === 'Heartbeats, where they are on');
  assert.equal(row.collapsed, true);
  assert.equal(row.panels.length, 2);
});

test('active_active_sites_are_folded_and_follow_the_selection', () => {
  const row = dashboard('overview').panels.find(({ title }) => title === 'Active-active sites, where they are monitored');
  assert.equal(row.collapsed, true);
  const [least, most] = exprs(row.panels.find(({ title }) => title === 'Keys that differ for good'));
  const of = (name, labels, values) => metric(`active_active_${name}`, `name="p",source_dc="dc1",target_dc="dc2"${labels}`, values);
  const labels = '{name="p", source_dc="dc1", target_dc="dc2"}';
  // Of two exporters both bounds hold.
  const series = [of('divergent_keys_lower', ',instance="a"', '3x10'), of('divergent_keys_lower', ',instance="b"', '2x10'),
    of('divergent_keys_upper', ',instance="a"', '50x10'), of('divergent_keys_upper', ',instance="b"', '9x10')];
  assertQueries(series, [[least, '5m', [[labels, 3]]], [most, '5m', [[labels, 9]]]]);
});

test('findings_of_doctor_are_shown_by_pair_and_advice_does_not_count', () => {
  const [findings] = exprs(panelCalled('pair', 'Findings of the last audit'));
  const [open] = exprs(panelCalled('pair', 'Checks without a result'));
  const [age] = exprs(panelCalled('pair', 'Age of the last audit'));
  const found = (severity, values) => metric('doctor_findings', `pair="a",severity="${severity}"`, values);
  const series = [found('critical', '1x10'), found('warning', '0x10'), found('advice', '5x10'), metric('doctor_not_checked', 'pair="a"', '3x10'),
    metric('doctor_last_run_timestamp_seconds', 'pair="a"', '60x10')];
  const counted = [['{pair="a", severity="critical"}', 1], ['{pair="a", severity="warning"}', 0]];
  assertQueries(series, [[findings, '5m', counted], [open, '5m', [['{pair="a"}', 3]]], [age, '5m', [['{pair="a"}', 240]]]]);
  assertQueries([EXPORTER], [[findings, '5m', []], [open, '5m', []], [age, '5m', []]]);
});

test('d9_every_panel_is_described_and_has_a_name_of_its_own', () => {
  for (const name of ['overview', 'pair']) {
    const all = everyPanel().filter((entry) => entry.name === name).map(({ panel }) => panel);
    assert.deepEqual(all.filter(({ description }) => !description).map(({ title }) => title), []);
    assert.equal(new Set(all.map(({ title }) => title)).size, all.length);
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
  }
});

// WCAG 2: relative luminance and contrast.
function luminance(hex) {
  const linear = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
function contrast(a, b) {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}
/** The text that a stat and a table's cell have on a colour (grafana-ui, utils/colors.ts), and a state timeline's. */
function textsOn(color) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  const brightness = (r * 299 + g * 587 + b * 114) / 1000;
  const inTimelines = ['dark', 'light'].map((mode) => theme(mode).colors.getContrastText(color));
  return [brightness > 180 ? '#202226' : '#f7f8fa', ...inTimelines.map((text) => (text === '#ffffff' ? text : '#000000'))];
}

test('d9_texts_and_lines_have_contrast', () => {
  const fills = new Set();
  const lines = new Set();
  for (const { panel } of everyPanel()) {
    const { defaults, overrides } = panel.fieldConfig;
    const collect = (node, into) => JSON.stringify(node ?? null).replace(/#[0-9A-Fa-f]{6}/g, (color) => into.add(color));
    collect([defaults, overrides], panel.type === 'timeseries' ? lines : panel.type === 'heatmap' ? new Set() : fills);
  }
  assert.ok(fills.size > 5 && lines.size > 2);
  for (const color of fills) {
    assert.deepEqual(textsOn(color).filter((text) => contrast(color, text) < 4.5), [], `text on ${color}`);
  }
  for (const color of lines) {
    assert.ok(contrast(color, '#181b1f') >= 3 && contrast(color, '#ffffff') >= 3, `a line in ${color}`);
  }
});

test('a_stranger_can_import_them', () => {
  for (const name of ['overview', 'pair']) {
    const board = dashboard(name);
    assert.deepEqual([board.__inputs, board.__elements], [[], {}], 'the data source is a variable, so nothing is asked for at the import');
    const kinds = [...new Set(everyPanel().filter((entry) => entry.name === name).map(({ panel }) => panel.type))].sort();
    const required = board.__requires.map(({ type, id }) => [type, id]);
    assert.deepEqual(required, [['grafana', 'grafana'], ['datasource', 'prometheus'], ...kinds.map((kind) => ['panel', kind])], name);
    const [source] = board.templating.list;
    assert.deepEqual([source.type, source.query], ['datasource', 'prometheus']);
    assert.ok(!('id' in board) && !JSON.stringify(board).includes('"uid":"P'), 'no id of the Grafana in which it was edited');
  }
});

test('every_query_selects_the_environment_the_job_and_the_instance', () => {
  const wanted = '{environment=~"$environment", job=~"$job", instance=~"$instance"';
  for (const name of ['overview', 'pair']) {
    const board = dashboard(name);
    const variables = board.templating.list.map((variable) => variable.name);
    assert.deepEqual(variables.slice(0, 4), ['datasource', 'environment', 'job', 'instance']);
    const notes = board.annotations.list.flatMap(({ expr }) => expr ?? []);
    const all = [...everyPanel().filter((entry) => entry.name === name).flatMap(({ panel }) => exprs(panel)), ...notes];
    for (const expr of all) {
      for (const found of expr.matchAll(/redis_cross_dc_\w+/g)) {
        assert.ok(expr.slice(found.index + found[0].length).startsWith(wanted), `${found[0]} in ${expr}`);
      }
    }
  }
});

test('the_selection_of_an_exporter_leaves_out_the_others', () => {
  const [expr] = exprs(panelCalled('overview', 'Pairs not streaming'));
  const of = (instance, value) => metric('link_up', pair('a', `,environment="prod",job="j",instance="${instance}"`), `${value}x10`);
  const chosen = (instance) => expr.replaceAll('$environment', 'prod').replaceAll('$job', 'j').replaceAll('$instance', instance);
  assertQueries([of('one', 0), of('two', 1)], [[chosen('one'), '5m', [1]], [chosen('two'), '5m', [0]], [expr.replaceAll('$environment', 'test'), '5m', []]]);
});

test('every_address_is_percent_encoded', () => {
  const urls = everyPanel().flatMap(({ panel }) => [...JSON.stringify(panel).matchAll(/"url":"([^"]+)"/g)].map(([, url]) => url));
  assert.ok(urls.length >= 5);
  for (const url of urls) {
    const places = [...url.matchAll(/\$\{([^}]+)\}/g)].map(([, place]) => place);
    const raw = places.filter((place) => !/:(percentencode|queryparam)$/.test(place) && !['exporter_url', '__url_time_range'].includes(place));
    assert.deepEqual(raw, [], url);
  }
});

test('no_panel_of_the_fleet_draws_a_line_for_every_pair_or_server', () => {
  for (const { name, panel } of everyPanel()) {
    if (name !== 'overview' || !['timeseries', 'state-timeline'].includes(panel.type)) {
      continue;
    }
    for (const { expr, legendFormat } of panel.targets) {
      assert.ok(!/\{\{(pair|replica|server)\}\}/.test(legendFormat) || /^(topk|bottomk)\((10|20), /.test(expr), `${panel.title}: ${expr}`);
    }
  }
});
