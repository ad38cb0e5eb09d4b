// The queries of the dashboards against series that a test gives, by promtool.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An expression with every variable replaced by what stands for "all". */
export function filledIn(expr) {
  return expr.replace(/\$(environment|job|instance|source_dc|target_dc|pair|replica)\b/g, '.*').replaceAll('$__rate_interval', '2m');
}

/**
 * Asserts what expressions give. `series` are [name with labels, values as promtool has them, one a minute]; `expected` are
 * [expression, time, values], a value being a number, or [labels, number].
 */
export function assertQueries(series, expected, interval = '1m') {
  const sample = (value) => (Array.isArray(value) ? { labels: value[0], value: value[1] } : { labels: '{}', value });
  const tests = [{
    interval,
    input_series: series.map(([name, values]) => ({ series: name, values })),
    promql_expr_test: expected.map(([expr, time, values]) => ({ expr: filledIn(expr), eval_time: time, exp_samples: values.map(sample) })),
  }];
  const folder = mkdtempSync(join(tmpdir(), 'promql-'));
  const file = join(folder, 'test.yml');
  writeFileSync(file, JSON.stringify({ evaluation_interval: '15s', tests }));
  try {
    execFileSync('promtool', ['test', 'rules', file], { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    assert.fail(`${error.stdout}${error.stderr}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
