// Measures the pages of a large fleet of which a part is in trouble: how much stands before the pairs, on a desk and on a phone.
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

/** Screens that may stand before the pairs. */
const SIZES = [
  ['desk', { width: 1280, height: 900 }, 3],
  ['phone', { width: 390, height: 844 }, 10],
];

function check(holds, what) {
  if (!holds) throw new Error(`it does not hold: ${what}`);
  console.log(`ok: ${what}`);
}

async function stage(word) {
  console.log(`stage: ${word}`);
  await answers.next();
}

async function measure(page, name) {
  for (const [device, size, most] of SIZES) {
    await page.setViewportSize(size);
    await page.screenshot({ path: path.join(shots, `fleet-${name}-${device}.png`) });
    const { top, lines } = await page.evaluate(() => ({
      top: document.getElementById('pairs').getBoundingClientRect().top + scrollY,
      lines: [...document.querySelectorAll('#alerts > ul > li > details > summary')].map((line) => line.getBoundingClientRect().height),
    }));
    check(top <= most * size.height, `${name}, ${device}: the pairs begin after ${(top / size.height).toFixed(1)} screens, at most ${most}`);
    // On a phone: when it began, two lines of text, and two of why it was not notified.
    const highest = device === 'desk' ? 36 : 120;
    check(lines.every((height) => height <= highest), `${name}, ${device}: no alert is higher: ${lines.join(', ')}`);
  }
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ colorScheme: 'light' });
  page.setDefaultTimeout(60000);
  await page.goto(url);
  await page.waitForSelector('#stream[data-mode=live]');
  await measure(page, 'calm');
  await stage('stall');
  await page.waitForFunction(() => [...document.querySelectorAll('#alerts .line')].some((line) => line.textContent.startsWith('20 pairs dc1 → dc2 stalled or down. Worst: ')));
  await measure(page, 'stalled');
  // A group that is unfolded stays so when others join and the page is updated.
  const group = page.locator('#alerts details', { hasText: '20 pairs dc1' }).first();
  await group.locator('summary').click();
  check((await group.locator('tbody tr').count()) === 20, 'it unfolds to all of them');
  await stage('kill');
  await page.waitForFunction(() => /^\d+ servers: \d+ in dc3$/.test(document.querySelector('#all-silent summary')?.textContent ?? ''));
  check(await group.evaluate((element) => element.open), 'what is unfolded stays so');
  await group.locator('summary').click();
  await measure(page, 'dark');
} catch (error) {
  console.log(`FAILED: ${error.message.split('\n')[0]}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
