// Drives the pages of a running exporter in a real browser, as a person would, and checks what it shows.
//
// Usage: node drive.mjs URL FOLDER, where FOLDER has the installed packages and gets the screenshots. Orders to the stage are
// written to stdout as `stage: WORD`; it answers with a line on stdin when the order is carried out. A failure's last line is
// `FAILED: STEP: REASON`.
//
// The page is updated by the server's pushes, so nothing that depends on one is checked at once: `until` waits for it.

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

let current = 'start'; // the step that is under way

function step(name) {
  current = name;
  console.log(`--- ${name}`);
}

/** Checks what no push can change. */
function check(holds, what) {
  if (!holds) throw new Error(`it does not hold: ${what}`);
  console.log(`ok: ${what}`);
}

/** Waits until `holds` is true in the page; `what` names the condition in a failure. */
async function until(page, what, holds, argument) {
  const seen = () => page.evaluate(() => document.body.innerText.slice(0, 4000)).catch(() => 'nothing');
  try {
    await page.waitForFunction(holds, argument);
  } catch (error) {
    if (error.name !== 'TimeoutError') throw error;
    console.log(`the page shows:\n${await seen()}`);
    throw new Error(`not within ${PATIENCE / 1000} s: ${what}`);
  }
  console.log(`ok: ${what}`);
}

/** Waits until the locator matches so many elements. */
async function counts(locator, wanted, what) {
  const deadline = Date.now() + PATIENCE;
  while ((await locator.count()) !== wanted) {
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE / 1000} s: ${what} (${await locator.count()} instead of ${wanted})`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
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

/** Everything that a page must not do: log errors, send requests elsewhere, break its policy. */
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
    // While the exporter is down, or refuses, the browser logs that by itself.
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

/** Texts that overflow their pictures, and texts that are cut off: a number cut on the left is another number. */
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

/** Checks a page in every colour scheme and size. */
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
  step('a calm fleet');
  const page = await visit({});
  await page.goto(url);
  await mode(page, 'live');
  await page.evaluate(() => (window.neverReloaded = true));
  await counts(row(page, HOSTILE), 1, 'a hostile name is shown as it is');
  check((await page.locator('img').count()) === 0, 'and nothing of it is interpreted');
  await lookAt(page, 'calm');

  step('a link stalls and turns red by itself');
  await page.fill('input[name=q]', 'orders');
  await page.focus('input[name=q]');
  await until(page, 'the filter is applied while it is typed', () => document.querySelector('.found').textContent.includes('that match'));
  await stage('stall');
  await until(page, 'the line on the map is critical', () => document.querySelector('.map a.line.critical[aria-label^="dc1 to dc2: critical"]'));
  await until(page, 'so is the title', () => document.title.includes('critical'));
  await until(page, 'and the row says why', () => document.querySelector('#rows tr.critical')?.textContent.includes('stalled'));
  await until(page, 'the journal has times of day', () => /^\d\d:\d\d:\d\d$/.test(document.querySelector('#happenings time')?.textContent));
  await until(page, 'and in a tooltip how long ago that was, in UTC and for the reader', () =>
    /^\d+ s ago: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, .* \d\d:\d\d:\d\d Europe\/Berlin$/.test(document.querySelector('#happenings time')?.title));
  await until(page, 'everything else is so long ago', () => /^\d+ (s|min) ago$/.test(document.querySelector('#alerts summary time')?.textContent));
  check(await page.evaluate(() => window.neverReloaded), 'without reloading the page');
  const focused = await page.evaluate(() => [document.activeElement.name, document.activeElement.value].join('='));
  check(focused === 'q=orders', 'the filter keeps its focus and its text');
  check(new URL(page.url()).search === '?q=orders', 'the filter is in the address');
  await counts(row(page, HOSTILE), 0, 'pairs that do not match are not shown');
  await page.fill('input[name=q]', '');
  await page.selectOption('select[name=state]', 'stalled');
  await until(page, 'a filter by state', () => document.querySelectorAll('#rows tbody tr').length === 1);
  await page.selectOption('select[name=state]', '');
  await counts(row(page, HOSTILE), 1, 'without a filter every pair is shown');
  await until(page, 'an alert has its reason', () =>
    [...document.querySelectorAll('#alerts tr.critical')].some((alert) => alert.textContent.includes('although the master writes')));
  const firing = page.locator('#alerts > ul > li > details.critical', { hasText: 'orders dc1 → dc2 stalled for' }).first();
  check(!(await firing.locator('tr').first().isVisible()), 'folded away');
  await firing.locator('summary').click();
  check(await firing.locator('tr.critical').first().isVisible(), 'until it is unfolded');
  await lookAt(page, 'stalled');

  step('a delivery that was given up is sent again');
  await page.locator('#deliveries button.replay').first().click();
  await until(page, 'the result is shown', () => document.querySelector('#replay-said').textContent === 'Sent again.');

  step('a silence is added and ended');
  await firing.locator('tr.critical button.silence').first().click();
  check((await page.inputValue('textarea[name=matchers]')).includes('pair=orders'), 'the button fills in the matchers');
  await page.fill('input[name=author]', 'alice');
  await page.fill('input[name=comment]', '<b>the link is being repaired</b>');
  await lookAt(page, 'silencing');
  await page.click('#silence-form button[type=submit]');
  await until(page, 'the result is shown', () => document.querySelector('#silence-said').textContent === 'Silenced.');
  await until(page, 'the silence is listed', () => document.querySelector('#silences tbody')?.textContent.includes('<b>the link is being repaired</b>'));
  await until(page, 'the alert shows it', () => document.querySelector('#alerts').textContent.includes('not notified: silenced'));
  await page.click('#silence summary');
  await page.fill('textarea[name=matchers]', '=');
  await page.fill('input[name=comment]', 'nothing');
  outage = true; // the browser logs a refusal, too
  await page.click('#silence-form button[type=submit]');
  await until(page, 'a silence without a label is refused', () => document.querySelector('#silence-said.refused')?.textContent.includes('is not a label of any alert'));
  await page.locator('#silences button.expire').click();
  await until(page, 'the silence is expired', () => document.querySelector('#silences tbody').textContent.includes('expired'));
  outage = false;

  step("a message's link fills in a silence, and shows what it would silence");
  const linked = await visit({});
  await linked.goto(`${url}/?silence=pair%3Dorders&silence=dc%3Dnowhere&for=2h#silences`);
  await mode(linked, 'live');
  check((await linked.inputValue('textarea[name=matchers]')) === 'pair=orders\ndc=nowhere', 'the matchers');
  check((await linked.inputValue('select[name=duration]')) === '7200', 'the duration');
  const preview = (what, text) => until(linked, what, (part) => document.querySelector('#silence-preview').textContent.includes(part), text);
  await preview('that it matches nothing', 'Nothing matches');
  await linked.fill('textarea[name=matchers]', 'piar=orders');
  await preview('a typing error', 'did you mean pair?');
  await linked.fill('textarea[name=matchers]', 'pair=orders');
  await until(linked, 'what it matches', () => /Matches \d+ alerts? now, and later ones of 2 pairs/.test(document.querySelector('#silence-preview').textContent));
  check(new URL(linked.url()).search === '?for=2h&silence=pair%3Dorders', 'the address can be sent to somebody');
  await linked.screenshot({ path: path.join(shots, 'prefilled.png'), fullPage: true });
  await linked.close();

  step('by keyboard to the page of the pair');
  await row(page, 'orders').first().getByRole('link').focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/pairs\//);
  await until(page, 'the verdict is critical', () => document.querySelector('#pair .verdict.critical'));
  await mode(page, 'live');
  await until(page, 'the chart has values', () => document.querySelectorAll('#all-values tr[data-t]').length >= 3);
  await until(page, 'the chart has a line', () => document.querySelector('svg.chart .trace')?.getAttribute('d').startsWith('M'));
  await page.locator('svg.chart').first().focus();
  await page.keyboard.press('ArrowLeft');
  await until(page, 'the arrow keys read values', () => /From .* UTC: lag .* behind, .* of the backlog left, \w+/.test(document.querySelector('#reading').textContent));
  await lookAt(page, 'pair');

  step('it heals');
  await stage('heal');
  await until(page, 'the verdict is ok', () => document.querySelector('#pair .verdict.ok'));
  await until(page, 'its state changes are listed', () => document.querySelectorAll('#changes tr').length >= 3);

  step('the stream is lost and comes back');
  await page.goto(url);
  await mode(page, 'live');
  await page.evaluate(() => (window.neverReloaded = true));
  outage = true;
  await stage('stop');
  await until(page, 'the stream is broken', () => ['stale', 'polling'].includes(document.querySelector('#stream').dataset.mode));
  await until(page, 'the page is stale', () => !document.querySelector('#stale').hidden && document.title.startsWith('stale'));
  await until(page, 'its age grows', () => /last update ([5-9]|\d\d+) s ago/.test(document.querySelector('#stream').textContent));
  await page.screenshot({ path: path.join(shots, 'lost.png') });
  await stage('start');
  await mode(page, 'live');
  await until(page, 'it is fresh again', () => /last update [0-3] s ago/.test(document.querySelector('#stream').textContent));
  check(await page.evaluate(() => window.neverReloaded), 'without reloading the page');
  await until(page, 'and no longer stale', () => document.querySelector('#stale').hidden && !document.title.startsWith('stale'));
  outage = false;

  step('runbooks');
  await page.goto(`${url}/runbooks/RedisCrossDcLinkDown?pair=orders`);
  const command = page.locator('.command', { hasText: 'redis-cross-dc-exporter check' }).first();
  check((await command.locator('code').textContent()).includes(`--exporter.url ${new URL(url).origin}`), 'a command has the address of the exporter');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await command.getByRole('button', { name: 'Copy' }).click();
  await until(page, 'it is copied', () => document.querySelector('button.copy').textContent === 'Copied');
  check((await page.evaluate(() => navigator.clipboard.readText())).startsWith('redis-cross-dc-exporter check'), 'to the clipboard');
  check(await page.locator('.trail a[href^="/pairs/orders"]').isVisible(), 'a way back to the pair');
  await lookAt(page, 'runbook');

  step('without a script');
  // No script waits here, and the page reloads itself every 5 seconds: locators wait.
  const plain = await visit({ javaScriptEnabled: false });
  await plain.goto(url);
  await row(plain, 'orders').first().waitFor();
  check((await plain.locator('noscript').count()) > 0, 'the page reloads itself');
  await plain.fill('input[name=q]', 'sessions');
  await plain.click('form.filter button');
  await plain.waitForURL(/q=sessions/);
  await counts(plain.locator('#rows tbody tr'), 1, 'the filter works');
  await plain.getByRole('link', { name: 'sessions', exact: true }).click();
  await plain.waitForURL(/\/pairs\/sessions/);
  await counts(plain.locator('svg.chart .trace[d^=M]').first(), 1, 'so do the charts');

  step('complaints');
  check(complaints.length === 0, `no error, no request elsewhere, no breach of the policy: ${complaints.join('; ')}`);
}

try {
  await main();
} catch (error) {
  console.log(error.stack);
  console.log(complaints.join('\n'));
  for (const context of browser.contexts()) {
    for (const page of context.pages()) await page.screenshot({ path: path.join(shots, 'failed.png'), fullPage: true }).catch(() => {});
  }
  console.log(`FAILED: ${current}: ${error.message.split('\n')[0]}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
