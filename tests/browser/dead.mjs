// Looks at the pages of an exporter that stops answering: they must say so, and nothing on them may look as if all were well.
//
// Usage and protocol as drive.mjs.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

const [, , url, folder] = process.argv;
const { chromium } = createRequire(path.resolve(folder, 'package.json'))('playwright-core');
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const shots = path.join(folder, 'screenshots');
mkdirSync(shots, { recursive: true });

const PATIENCE = 30000;
const LOOKS = [
  ['light', { colorScheme: 'light' }, { width: 1280, height: 900 }],
  ['dark', { colorScheme: 'dark' }, { width: 390, height: 844 }],
];

function check(holds, what) {
  if (!holds) throw new Error(`it does not hold: ${what}`);
  console.log(`ok: ${what}`);
}

async function stage(word) {
  console.log(`stage: ${word}`);
  await answers.next();
}

/** Whether a colour is one of the greens in which the pages say "ok": not grey, and green above all. */
function greens() {
  const green = (text) => {
    const [r, g, b, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return alpha > 0 && g > r + 8 && g >= b + 4;
  };
  const found = [];
  for (const element of document.querySelectorAll('body, body *')) {
    if (!element.checkVisibility()) continue;
    for (const pseudo of [null, '::before', '::after']) {
      const style = getComputedStyle(element, pseudo);
      for (const name of ['color', 'backgroundColor', 'borderLeftColor', 'fill', 'stroke']) {
        if (green(style[name])) found.push(`${element.nodeName}.${element.getAttribute('class')} ${name} ${style[name]}`);
      }
    }
  }
  return found;
}

async function looksStale(page, name) {
  await page.waitForSelector('.banner.critical:visible');
  const banner = (await page.locator('.banner.critical:visible').first().textContent()) ?? '';
  check(/^This page is stale: the exporter has not answered since \d\d:\d\d:\d\d UTC \(\d+ s\)/.test(banner), `${name}: a banner: ${banner}`);
  check((await page.title()).startsWith('stale'), `${name}: the title says so, too`);
  for (const [look, media, size] of LOOKS) {
    await page.emulateMedia(media);
    await page.setViewportSize(size);
    await page.screenshot({ path: path.join(shots, `stale-${name}-${look}.png`) });
    const found = await page.evaluate(greens);
    check(found.length === 0, `${name}, ${look}: nothing is green: ${found.slice(0, 5).join('; ')}`);
    const box = await page.locator('.banner.critical:visible').first().boundingBox();
    check(box.x <= 0 && box.width >= size.width - 20, `${name}, ${look}: the banner is as wide as the page`);
  }
}

async function looksAlive(page, name) {
  await page.waitForSelector('#stream[data-mode=live]');
  await page.waitForFunction(() => !document.body.classList.contains('stale'));
  check((await page.evaluate(greens)).length > 0, `${name}: a page that lives is green`);
  check(!(await page.title()).startsWith('stale'), `${name}: and its title does not say stale`);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const pages = [];
  for (const [name, where] of [['overview', '/'], ['pair', '/pairs/orders']]) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
    page.setDefaultTimeout(PATIENCE);
    await page.goto(url + where);
    await looksAlive(page, name);
    pages.push([page, name]);
  }
  console.log('--- a process that is stopped takes connections and never answers');
  await stage('freeze');
  for (const [page, name] of pages) await looksStale(page, `frozen-${name}`);
  await stage('thaw');
  for (const [page, name] of pages) await looksAlive(page, name);
  console.log('--- a process that is gone refuses them');
  await stage('kill');
  for (const [page, name] of pages) await looksStale(page, `dead-${name}`);
} catch (error) {
  console.log(`FAILED: ${error.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
