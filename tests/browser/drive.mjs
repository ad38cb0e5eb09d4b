// Drives the pages of a running exporter in a real browser, as a person would, and looks at what it sees.
//
// Usage: node drive.mjs URL FOLDER, where FOLDER has the installed packages and gets the screenshots. What the stage is to
// do is written to stdout as `stage: WORD`; it answers with a line on stdin when that is done.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { readFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';

const [, , url, folder] = process.argv;
const require = createRequire(path.resolve(folder, 'package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const shots = path.join(folder, 'screenshots');
mkdirSync(shots, { recursive: true });

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const HOSTILE = '<img src=x onerror=alert(1)>"\'&';
const PATIENCE = 45000;

function check(holds, what) {
  if (!holds) throw new Error(`it does not hold: ${what}`);
  console.log(`ok: ${what}`);
}

async function stage(word) {
  console.log(`stage: ${word}`);
  await answers.next();
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/** Everything that a page may not do: complain, ask others, break its policy. */
const complaints = [];
let outage = false;

async function visit(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB', timezoneId: 'Europe/Berlin', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('pageerror', (error) => complaints.push(`error: ${error}`));
  page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  page.on('request', (request) => new URL(request.url()).origin === new URL(url).origin || complaints.push(`request: ${request.url()}`));
  page.on('console', (message) => {
    const text = message.text();
    // While the exporter is down, or refuses, a browser says so by itself.
    const expected = outage && /ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|status of (400|503)/.test(text);
    if (['error', 'warning'].includes(message.type()) && !expected) complaints.push(`console: ${text}`);
  });
  return page;
}

async function accessible(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const violation of violations) {
    console.log(`${violation.id}: ${violation.help}\n  ${violation.nodes.map((node) => node.html).slice(0, 5).join('\n  ')}`);
  }
  check(violations.length === 0, `axe finds nothing on ${name}`);
}

const looks = [
  ['light', { colorScheme: 'light' }, { width: 1280, height: 900 }],
  ['dark', { colorScheme: 'dark' }, { width: 1280, height: 900 }],
  ['tablet', { colorScheme: 'light' }, { width: 768, height: 1024 }],
  ['phone', { colorScheme: 'light' }, { width: 375, height: 812 }],
];

/** Texts in pictures that stick out of them, and texts that are cut off: a number cut on the left is another number. */
function clipped() {
  const found = [];
  for (const text of document.querySelectorAll('svg text')) {
    if (!text.checkVisibility()) continue;
    const { x, y, width, height } = text.getBBox();
    const { width: right, height: bottom } = text.ownerSVGElement.viewBox.baseVal;
    if (x < 0 || y < -1 || x + width > right || y + height > bottom + 1) found.push(`${text.textContent}: ${x} to ${x + width} of ${right}`);
  }
  for (const name of document.querySelectorAll('.site')) {
    const box = name.querySelector('rect').getBBox();
    for (const text of name.querySelectorAll('.name, .note')) {
      if (text.checkVisibility() && text.getBBox().width > box.width) found.push(`${text.textContent} is wider than its box`);
    }
  }
  for (const element of document.querySelectorAll('h1, h2, p, th, td, dd, dt, li, summary, .badge, .banner')) {
    if (!element.checkVisibility() || element.closest('.wide, .quiet') || element.classList.contains('quiet')) continue;
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== 'inline') found.push(`${element.nodeName} ${element.textContent.trim().slice(0, 60)}: ${element.scrollWidth} in ${element.clientWidth}`);
  }
  return found;
}

/** Addresses that are broken inside: 127.1.0.10:1710/0 reads as another port. */
function broken() {
  const found = [];
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement.checkVisibility() || node.parentElement.closest('svg, option, textarea')) continue;
    for (const match of node.data.matchAll(/\d+\.\d+\.\d+\.\d+:\d+/g)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) found.push(match[0]);
    }
  }
  return found;
}

/** Looks at a page in every way that people do. */
async function lookAt(page, name) {
  for (const [look, media, size] of looks) {
    await page.emulateMedia(media);
    await page.setViewportSize(size);
    await page.screenshot({ path: path.join(shots, `${name}-${look}.png`), fullPage: true });
    await accessible(page, `${name}, ${look}`);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(overflow <= 0, `${name}, ${look}: nothing is wider than the screen`);
    const cut = await page.evaluate(clipped);
    check(cut.length === 0, `${name}, ${look}: nothing is clipped: ${cut.join('; ')}`);
    const split = await page.evaluate(broken);
    check(split.length === 0, `${name}, ${look}: no address is broken inside: ${split.join('; ')}`);
  }
  const [, media, size] = looks[0];
  await page.emulateMedia(media);
  await page.setViewportSize(size);
}

const mode = (page, wanted) => page.waitForSelector(`#stream[data-mode=${wanted}]`);
const row = (page, name) => page.locator('#rows tbody tr').filter({ has: page.getByRole('link', { name, exact: true }) });

async function main() {
  const page = await visit({});
  await page.goto(url);
  await mode(page, 'live');
  await page.evaluate(() => (window.neverReloaded = true));
  check((await row(page, HOSTILE).count()) === 1, 'a hostile name is shown as it is');
  check((await page.locator('img').count()) === 0, 'and nothing of it is obeyed');
  const time = page.locator('#happenings time').first();
  check(/^\d\d:\d\d:\d\d UTC .* ago$/.test(await time.textContent()), 'a time says how long ago it was');
  check(/\d\d:\d\d:\d\d Europe\/Berlin, .* UTC/.test(await time.getAttribute('title')), "and the reader's own time on demand");
  await lookAt(page, 'calm');

  console.log('--- a link stalls and turns red by itself');
  await page.fill('input[name=q]', 'orders');
  await page.focus('input[name=q]');
  await page.waitForFunction(() => document.querySelector('.found').textContent.includes('that fit'));
  await stage('stall');
  await page.waitForSelector('.map a.line.critical[aria-label^="dc1 to dc2: critical"]');
  await page.waitForFunction(() => document.title.includes('critical'));
  await page.waitForFunction(() => document.querySelector('#rows tr.critical')?.textContent.includes('stalled'));
  check(await page.evaluate(() => window.neverReloaded), 'without loading the page anew');
  const focused = await page.evaluate(() => [document.activeElement.name, document.activeElement.value].join('='));
  check(focused === 'q=orders', 'the filter keeps its focus and its text');
  check(new URL(page.url()).search === '?q=orders', 'the address has the filter');
  check((await row(page, HOSTILE).count()) === 0, 'what does not fit is not shown');
  await page.fill('input[name=q]', '');
  await page.selectOption('select[name=state]', 'stalled');
  await page.waitForFunction(() => document.querySelectorAll('#rows tbody tr').length === 1);
  await page.selectOption('select[name=state]', '');
  await row(page, HOSTILE).waitFor();
  await page.waitForSelector('#alerts tr.critical');
  check((await page.locator('#alerts tr.critical').first().textContent()).includes('although the master writes'), 'an alert says why');
  await lookAt(page, 'stalled');

  console.log('--- what was given up is sent again');
  await page.locator('#deliveries button.replay').first().click();
  await page.waitForFunction(() => document.querySelector('#replay-said').textContent === 'It is sent again.');

  console.log('--- a silence is added and ended');
  await page.locator('#alerts tr.critical button.silence').first().click();
  check((await page.inputValue('textarea[name=matchers]')).includes('pair=orders'), 'the button fills in whom');
  await page.fill('input[name=author]', 'alice');
  await page.fill('input[name=comment]', '<b>the line is being mended</b>');
  await lookAt(page, 'silencing');
  await page.click('#silence-form button[type=submit]');
  await page.waitForFunction(() => document.querySelector('#silences tbody')?.textContent.includes('<b>the line is being mended</b>'));
  check((await page.textContent('#silence-said')) === 'It is silenced.', 'it is said');
  await page.waitForFunction(() => document.querySelector('#alerts').textContent.includes('not told: silenced'));
  await page.click('#silence summary');
  await page.fill('textarea[name=matchers]', '=');
  await page.fill('input[name=comment]', 'nothing');
  outage = true; // the browser tells its console of a refusal, too
  await page.click('#silence-form button[type=submit]');
  await page.waitForFunction(() => document.querySelector('#silence-said.refused')?.textContent.includes("is not a label of any alert"));
  await page.locator('#silences button.expire').click();
  await page.waitForFunction(() => document.querySelector('#silences tbody').textContent.includes('expired'));
  outage = false;

  console.log('--- a link of a message fills in a silence, and it is tried before it is made');
  const linked = await visit({});
  await linked.goto(`${url}/?silence=pair%3Dorders&silence=dc%3Dnowhere&for=2h#silences`);
  await mode(linked, 'live');
  check((await linked.inputValue('textarea[name=matchers]')) === 'pair=orders\ndc=nowhere', 'whom');
  check((await linked.inputValue('select[name=duration]')) === '7200', 'for how long');
  await linked.waitForFunction(() => document.querySelector('#silence-preview').textContent.includes('Nothing fits'));
  await linked.fill('textarea[name=matchers]', 'piar=orders');
  await linked.waitForFunction(() => document.querySelector('#silence-preview').textContent.includes('did you mean pair?'));
  await linked.fill('textarea[name=matchers]', 'pair=orders');
  await linked.waitForFunction(() => /Fits \d+ alerts? now, and later ones of 2 pairs/.test(document.querySelector('#silence-preview').textContent));
  check(new URL(linked.url()).search === '?for=2h&silence=pair%3Dorders', 'the address can be sent to somebody');
  await linked.screenshot({ path: path.join(shots, 'prefilled.png'), fullPage: true });
  await linked.close();

  console.log('--- by keyboard to the page of the pair');
  await row(page, 'orders').first().getByRole('link').focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('#pair .verdict.critical');
  await mode(page, 'live');
  await page.waitForFunction(() => document.querySelectorAll('#all-values tr[data-t]').length >= 3);
  const chart = page.locator('svg.chart').first();
  check((await chart.locator('.trace').getAttribute('d')).startsWith('M'), 'the chart has a line');
  await chart.focus();
  await page.keyboard.press('ArrowLeft');
  check(/From .* UTC: lag .* behind, \w+/.test(await page.textContent('#reading')), 'the arrow keys read values');
  await lookAt(page, 'pair');

  console.log('--- it heals');
  await stage('heal');
  await page.waitForSelector('#pair .verdict.ok');
  check((await page.locator('#changes tr').count()) >= 3, 'its states are told');

  console.log('--- the stream is lost and comes back');
  await page.goto(url);
  await mode(page, 'live');
  await page.evaluate(() => (window.neverReloaded = true));
  outage = true;
  await stage('stop');
  await page.waitForFunction(() => ['stale', 'polling'].includes(document.querySelector('#stream').dataset.mode));
  await page.waitForFunction(() => !document.querySelector('#stale').hidden && document.title.startsWith('stale'));
  await page.waitForFunction(() => /last update ([5-9]|\d\d+) s ago/.test(document.querySelector('#stream').textContent));
  await page.screenshot({ path: path.join(shots, 'lost.png') });
  await stage('start');
  await mode(page, 'live');
  await page.waitForFunction(() => /last update [0-3] s ago/.test(document.querySelector('#stream').textContent));
  check(await page.evaluate(() => window.neverReloaded), 'it goes on where it was');
  await page.waitForFunction(() => document.querySelector('#stale').hidden && !document.title.startsWith('stale'));
  outage = false;

  console.log('--- runbooks');
  await page.goto(`${url}/runbooks/RedisCrossDcLinkDown`);
  await lookAt(page, 'runbook');

  console.log('--- without a script');
  const plain = await visit({ javaScriptEnabled: false });
  await plain.goto(url);
  check((await row(plain, 'orders').count()) >= 1, 'the table is there');
  await plain.fill('input[name=q]', 'sessions');
  await plain.click('form.filter button');
  await plain.waitForURL(/q=sessions/);
  check((await plain.locator('#rows tbody tr').count()) === 1, 'the filter works');
  await plain.getByRole('link', { name: 'sessions', exact: true }).click();
  check((await plain.locator('svg.chart .trace').first().getAttribute('d')).startsWith('M'), 'so do the charts');
  check((await plain.locator('noscript').count()) > 0, 'and the page renews itself');

  check(complaints.length === 0, `no complaint, no foreign request, no breach of the policy: ${complaints.join('; ')}`);
}

try {
  await main();
} catch (error) {
  console.log(`FAILED: ${error.stack}`);
  console.log(complaints.join('\n'));
  for (const context of browser.contexts()) {
    for (const page of context.pages()) await page.screenshot({ path: path.join(shots, 'failed.png'), fullPage: true }).catch(() => {});
  }
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
