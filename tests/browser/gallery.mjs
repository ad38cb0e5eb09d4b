// Takes pictures of every page of a fleet, healthy and in trouble, in light, in dark and on a phone, and gives each page to axe;
// of a single pair also with an audit and an operation. Active-active sites that differ are there all the time.
//
// Usage: node gallery.mjs URL FOLDER PAIRS; the pictures are FOLDER/gallery/PAIRS-*.png. Protocol as drive.mjs.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const [, , url, folder, pairs] = process.argv;
const require = createRequire(path.resolve(folder, 'package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const images = path.join(folder, 'gallery');
mkdirSync(images, { recursive: true });

const LOOKS = [
  ['light', { colorScheme: 'light' }, { width: 1280, height: 900 }],
  ['dark', { colorScheme: 'dark' }, { width: 1280, height: 900 }],
  ['phone', { colorScheme: 'light' }, { width: 390, height: 844 }],
];
/** What fits a picture; pages of hundreds of pairs are longer. */
const MOST_HEIGHT = 5000;

async function stage(word) {
  console.log(`stage: ${word}`);
  await answers.next();
}

async function shoot(page, name) {
  for (const [look, media, size] of LOOKS) {
    await page.emulateMedia(media);
    await page.setViewportSize(size);
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    const clip = { x: 0, y: 0, width: size.width, height: Math.min(height, MOST_HEIGHT) };
    await page.screenshot({ path: path.join(images, `${pairs}-${name}-${look}.png`), fullPage: true, clip });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
    if (found.length) throw new Error(`axe on ${pairs}-${name}-${look}: ${found.join('; ')}`);
    console.log(`${pairs}-${name}-${look}: ${(height / size.height).toFixed(1)} screens`);
  }
}

async function open(page, where) {
  await page.goto(url + where);
  if (await page.locator('#stream').count()) await page.waitForSelector('#stream[data-mode=live]');
}

/** Has the exporter make an audit, and reports an operation to it until the tab is closed. */
async function occupy(tab) {
  await tab.goto(url);
  await tab.evaluate(async () => {
    const post = async (where, body) => {
      const answer = await fetch(where, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
      if (!answer.ok) throw new Error(`${where}: ${answer.status} ${await answer.text()}`);
    };
    const [pair] = (await (await fetch('/api/v1/pairs')).json()).pairs;
    const notice = { id: 'gallery-1', pair: pair.pair, kind: 'switch-over', old: pair.master, target: pair.replica, state: 'running', sentence: '' };
    const report = () => post('/api/v1/operations', JSON.stringify(notice));
    await report();
    setInterval(report, 3000);
    await post('/api/v1/doctor');
    const age = async () => (await (await fetch('/api/v1/doctor')).json()).age_seconds;
    while ((await age()) === null) await new Promise((resolve) => setTimeout(resolve, 500));
  });
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ timezoneId: 'Europe/Berlin' });
  page.setDefaultTimeout(60000);
  await open(page, '/');
  await page.waitForTimeout(30000); // a past for the charts
  await shoot(page, 'healthy');
  await open(page, '/pairs/stalling-001');
  await shoot(page, 'healthy-pair');
  await stage('stall');
  await open(page, '/');
  await page.waitForFunction(() => document.querySelector('#alerts .line')?.textContent.includes('stalled'));
  if (pairs !== '1') {
    await stage('kill');
    await page.waitForFunction(() => document.getElementById('silent').textContent.includes('dc3') && document.querySelectorAll('#alerts > ul > li').length >= 2);
  }
  await page.waitForTimeout(8000);
  await shoot(page, 'trouble');
  await page.locator('#alerts summary').first().click();
  await page.locator('#alerts details[open] button.silence').last().click();
  await page.waitForFunction(() => document.querySelector('#silence-preview').textContent.includes('Matches'));
  await shoot(page, 'trouble-unfolded');
  const runbook = await page.locator('#alerts details[open] a[href^="/runbooks/"]').first().getAttribute('href');
  await open(page, '/pairs/stalling-001');
  await shoot(page, 'trouble-pair');
  if (pairs === '1') {
    await open(page, runbook);
    await shoot(page, 'runbook');
    await open(page, '/pairs/nobody');
    await shoot(page, 'not-found');
    await stage('heal');
    await open(page, '/pairs/stalling-001');
    await page.waitForSelector('#pair .verdict.ok');
    await page.waitForTimeout(10000);
    await shoot(page, 'healed-pair');
    await open(page, '/');
    await shoot(page, 'healed');
    const controller = await browser.newPage();
    await occupy(controller);
    await open(page, '/');
    await shoot(page, 'operation');
    await open(page, '/pairs/stalling-001');
    await shoot(page, 'operation-and-audit-pair');
    await controller.close();
  }
} catch (error) {
  console.log(`FAILED: ${error.message.split('\n')[0]}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
