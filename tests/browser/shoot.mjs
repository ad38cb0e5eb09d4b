// Takes the pictures of the documents: of the pages of a running exporter, and of what panels of the dashboard would draw from a
// real Prometheus. No Grafana is started: the lines of the last picture are drawn here, from the panels' own queries.
//
// Usage: node shoot.mjs URL FOLDER PROMETHEUS DASHBOARD IMAGES; what the stage is to do is written as in drive.mjs.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const [, , url, folder, prometheus, dashboard, images] = process.argv;
const { chromium } = createRequire(path.resolve(folder, 'package.json'))('playwright-core');
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
mkdirSync(images, { recursive: true });

const CALM = 100000; // ms: enough of a past for the charts
const PANELS = ['Largest lag of any pair, with its certified bounds', 'Lag of the ten worst pairs', 'Bytes that replicas lack', 'Backlog left before a cut means a full resync'];

async function stage(word) {
  console.log(`stage: ${word}`);
  await answers.next();
}

/** A panel's queries over the last minutes, as Grafana would ask them with every variable at "all". */
async function series(title) {
  const panel = JSON.parse(readFileSync(dashboard, 'utf8')).panels.find((one) => one.title === title && one.type === 'timeseries');
  const end = Date.now() / 1000;
  const lines = [];
  for (const target of panel.targets) {
    const query = target.expr.replace(/\$(environment|job|instance|source_dc|target_dc|pair|replica)\b/g, '.*').replaceAll('$__rate_interval', '1m');
    const asked = new URLSearchParams({ query, start: end - 150, end, step: 1 });
    const answer = await (await fetch(`${prometheus}/api/v1/query_range?${asked}`)).json();
    for (const { metric, values } of answer.data.result) {
      const name = (target.legendFormat || '').replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '');
      lines.push({ name, values: values.map(([t, v]) => [t - (end - 150), Number(v)]).filter(([, v]) => isFinite(v)) });
    }
  }
  return { title, unit: panel.fieldConfig.defaults.unit, lines };
}

function drawn({ title, unit, lines }) {
  const colours = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9'];
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const most = Math.max(1e-9, ...lines.flatMap((line) => line.values.map(([, v]) => v)));
  const paths = lines.map((line, n) => {
    const points = line.values.map(([t, v]) => `${(54 + (t / 150) * 430).toFixed(1)} ${(140 - (v / most) * 120).toFixed(1)}`);
    return `<path d="M${points.join('L')}" fill="none" stroke="${colours[n % 6]}" stroke-width="1.6"/>`;
  });
  const legend = lines.map((line, n) => `<span style="color:${colours[n % 6]}">&#9644;</span> ${escape(line.name)}`).join('<br>');
  const top = unit === 's' ? `${most.toFixed(1)} s` : `${(most / 1024).toFixed(0)} KiB`;
  return `<div class="panel"><h2>${escape(title)}</h2><svg viewBox="0 0 490 150"><path d="M54 140H484M54 20H484" stroke="#ccc"/>
    <text x="50" y="144" text-anchor="end">0</text><text x="50" y="24" text-anchor="end">${top}</text>${paths.join('')}</svg><p>${legend}</p></div>`;
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1180, height: 1290 } });
  page.setDefaultTimeout(60000);
  const shoot = (name) => page.screenshot({ path: path.join(images, name) });
  await page.goto(url);
  await page.waitForSelector('#stream[data-mode=live]');
  await page.waitForTimeout(CALM);
  await stage('stall');
  await page.waitForSelector('#rows tr.critical');
  await page.waitForTimeout(6000);
  await shoot('page.png');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.click('#rows tr.critical a');
  await page.waitForSelector('#pair .verdict.critical');
  await page.waitForSelector('#stream[data-mode=live]');
  await page.setViewportSize({ width: 1180, height: 1240 });
  await shoot('pair.png');
  await stage('heal');
  await page.waitForSelector('#pair .verdict.ok');
  await page.waitForTimeout(8000);
  const panels = await Promise.all(PANELS.map(series));
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1060, height: 560 });
  await page.goto('about:blank');
  await page.setContent(`<style>body{font:13px system-ui,sans-serif;display:grid;grid-template-columns:1fr 1fr;gap:14px;margin:12px}
    .panel{border:1px solid #ccc;border-radius:4px;padding:8px}h2{font-size:14px;margin:0 0 4px}text{font-size:11px}p{margin:4px 0 0;font-size:11px}</style>
    ${panels.map(drawn).join('')}`);
  await page.screenshot({ path: path.join(images, 'panels.png'), fullPage: true });
} finally {
  await browser.close();
  process.stdin.destroy();
}
