// Keeps the page fresh and adds the reader's local time. Without it the page is complete, and reloads itself every 5 seconds.
'use strict';
(() => {
  const REFRESH_AT_MOST_EVERY = 2000; // ms; rendering a page takes processor time on the exporter
  const SILENT_AFTER = 5000; // ms without an event from the stream: then the page polls
  const RETRY_EVERY = 2000; // ms; while the stream is broken
  const ANSWER_WITHIN = 4000; // ms; a stopped exporter still accepts connections, and never answers
  const STALE_AFTER = 4000; // ms without a fresh page although one was requested: longer than a hiccup

  const byId = (id) => document.getElementById(id);

  // ---- Commands: a button that copies each ----
  function offerCopies(root) {
    for (const code of root.querySelectorAll('main pre > code')) {
      const box = Object.assign(document.createElement('div'), { className: 'command' });
      const button = Object.assign(document.createElement('button'), { type: 'button', className: 'plain copy', textContent: 'Copy' });
      code.parentElement.replaceWith(box);
      box.append(code.parentElement, button);
    }
  }
  /** Without HTTPS browsers offer no clipboard to a page, but still copy what is selected. */
  async function copy(code) {
    try {
      await navigator.clipboard.writeText(code.textContent);
      return true;
    } catch (error) {
      getSelection().selectAllChildren(code);
      return document.execCommand('copy');
    }
  }
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('button.copy');
    if (!button) return;
    button.textContent = (await copy(button.parentElement.querySelector('code'))) ? 'Copied' : 'Select it and press Ctrl+C';
    setTimeout(() => (button.textContent = 'Copy'), 2000);
  });
  offerCopies(document);
  // The runbooks' name for this exporter's address.
  for (const code of document.querySelectorAll('main.text pre code')) code.textContent = code.textContent.replaceAll('$EXPORTER', location.origin);

  const stream = byId('stream');
  if (!stream) return;

  // ---- How long ago; UTC and the reader's local time as a tooltip ----
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'local time';
  const isUtc = new Date().getTimezoneOffset() === 0;
  const local = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
  const DAY = 86400;
  function distance(seconds) {
    const size = Math.abs(seconds);
    const words =
      size < 90 ? `${Math.round(size)} s` : size < 5400 ? `${Math.round(size / 60)} min` : size < 2 * DAY ? `${Math.round(size / 3600)} h` : `${Math.round(size / DAY)} days`;
    return seconds < 0 ? `in ${words}` : `${words} ago`;
  }
  function addDistances(root) {
    const now = Number(root.querySelector('#notices').dataset.now);
    const today = new Date(now * 1000).toISOString().slice(0, 10);
    for (const time of root.querySelectorAll('main time[datetime]')) {
      const date = new Date(time.dateTime);
      if (isNaN(date) || time.closest('.asof')) continue;
      const ago = distance(now - date / 1000);
      const absolute = isUtc ? time.textContent : `${time.textContent}, ${local.format(date)} ${zone}`;
      // Lists of what followed what keep the time of day, without what all lines have in common.
      const listed = time.closest('[data-clock], #values');
      const utc = date.toISOString();
      const clock = utc.startsWith(today) ? utc.slice(11, 19) : `${utc.slice(0, 10)} ${utc.slice(11, 19)}`;
      time.textContent = listed ? clock : ago;
      time.title = listed ? `${ago}: ${absolute}` : absolute;
    }
  }
  byId('zone').textContent = isUtc ? '; the date is shown under the pointer' : `; the date and ${zone} are shown under the pointer`;

  // ---- Updates the page in place: what did not change keeps its focus, its scroll position and its open details ----
  function sameKind(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id && (a.nodeName !== 'LI' || keyOf(a) === keyOf(b));
  }
  const keyOf = (node) => node?.id || node?.firstElementChild?.id || '';
  function morph(from, to) {
    if (from.nodeType === Node.TEXT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) return;
    for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && !(name === 'open' && from.nodeName === 'DETAILS')) from.removeAttribute(name);
    const wanted = [...to.childNodes];
    const keys = new Set(wanted.map(keyOf));
    wanted.forEach((child, n) => {
      const place = from.childNodes[n];
      // What has an id, or begins with something that has one, is the same wherever it has moved to.
      const known = keyOf(child);
      const moved = known && keyOf(place) !== known && [...from.childNodes].slice(n).find((other) => keyOf(other) === known);
      if (moved) from.insertBefore(moved, place);
      const there = moved || place;
      if (!there) from.append(child);
      else if (sameKind(there, child)) morph(there, child);
      else if (keyOf(there) && keys.has(keyOf(there))) there.before(child);
      else there.replaceWith(child);
    });
    while (from.childNodes.length > wanted.length) from.lastChild.remove();
  }
  let underWay = false;
  let again = false;
  let newest = Number(byId('notices').dataset.now);
  let refusal = '';
  async function refresh() {
    if (document.hidden) return;
    if (underWay) {
      again = true;
      return;
    }
    underWay = true;
    const began = Date.now();
    try {
      const limits = { headers: { accept: 'text/html' }, signal: AbortSignal.timeout(ANSWER_WITHIN) };
      const answer = await fetch(location.pathname + location.search, limits);
      const text = await answer.text();
      refusal = answer.ok ? '' : ` (it answers with status ${answer.status})`;
      if (answer.ok) renew(new DOMParser().parseFromString(text, 'text/html'));
    } catch (error) {
      refusal = '';
    } finally {
      showAge();
      setTimeout(() => {
        underWay = false;
        if (again) {
          again = false;
          refresh();
        }
      }, Math.max(0, began + REFRESH_AT_MOST_EVERY - Date.now()));
    }
  }
  function renew(page) {
    addDistances(page);
    offerSilences(page);
    offerCopies(page);
    for (const part of document.querySelectorAll('[data-live]')) {
      const fresh = page.getElementById(part.id);
      if (fresh) morph(part, fresh);
    }
    stopped = page.body.classList.contains('stale');
    title = page.title;
    newest = Number(page.getElementById('notices').dataset.now);
    lastUpdate = Date.now();
    placeCursors();
  }

  // ---- The stream, and how old the page is ----
  const words = { connecting: 'Connecting:', live: 'Live:', stale: 'The stream is broken:', polling: 'No stream, polling:' };
  let mode = 'connecting';
  let title = document.title;
  let stopped = document.body.classList.contains('stale'); // the exporter answers, but its monitor has stopped
  let lastUpdate = Date.now();
  let lastWord = Date.now();
  let seenSince = Date.now(); // a page in the background does not ask
  function show(next) {
    mode = next;
    stream.dataset.mode = next;
    const text = byId('stream-mode');
    if (text.textContent !== words[next]) text.textContent = words[next];
    showAge();
  }
  /** The page is stale when it was not updated for long although it is visible. */
  function showAge() {
    const age = Math.max(0, Math.round((Date.now() - lastUpdate) / 1000));
    byId('stream-age').textContent = `last update ${age} s ago`;
    const silent = Date.now() - Math.max(lastUpdate, seenSince) > STALE_AFTER && mode !== 'connecting';
    const banner = byId('stale');
    banner.hidden = !silent;
    if (silent) {
      // A stream that is open but silent is not live.
      if (mode === 'live') show('stale');
      const since = new Date(newest * 1000).toISOString().slice(11, 19);
      banner.textContent = `This page is stale: the exporter has not answered since ${since} UTC (${distance(age).replace(' ago', '')})${refusal}. Everything below is as it was then.`;
    }
    document.body.classList.toggle('stale', silent || stopped);
    document.title = silent && !title.startsWith('stale') ? `stale · ${title}` : title;
  }
  let source = null;
  function listen() {
    source = new EventSource('/api/v1/events');
    const word = () => {
      lastWord = Date.now();
      if (mode !== 'live') {
        show('live');
        refresh();
      }
    };
    source.addEventListener('snapshot', (event) => {
      word();
      // Only a snapshot that is newer than the page is worth a rendering.
      if (JSON.parse(event.data).exporter.now_timestamp > newest) refresh();
    });
    source.addEventListener('state', word);
    source.addEventListener('alert', word);
    source.addEventListener('operation', word);
    source.onerror = () => {
      // The browser reconnects by itself, unless it was refused.
      show(source.readyState === EventSource.CLOSED ? 'polling' : 'stale');
      refresh();
    };
  }
  setInterval(() => {
    showAge();
    // Where polls are rare, a live stream may have nothing to send.
    if (mode === 'live' && Date.now() - lastWord > SILENT_AFTER) refresh();
    if (mode === 'live' && Date.now() - lastUpdate > SILENT_AFTER + ANSWER_WITHIN) show('stale');
  }, 1000);
  setInterval(() => {
    if (mode === 'live') return;
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      listen();
    }
    refresh();
  }, RETRY_EVERY);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    seenSince = Date.now();
    refresh();
  });

  /** Shows the page of another query, and puts the query into the address. */
  function ask(query) {
    const text = query.toString();
    history.replaceState(null, '', text ? `/?${text}` : '/');
    again = underWay;
    refresh();
  }

  // ---- The filter, while it is typed ----
  const filter = document.querySelector('form.filter');
  if (filter) {
    let typing = null;
    const apply = () => {
      const given = [...new FormData(filter)].filter(([, value]) => value !== '');
      const silence = [...new URLSearchParams(location.search)].filter(([name]) => name === 'silence' || name === 'for');
      ask(new URLSearchParams([...given, ...silence]));
    };
    filter.addEventListener('input', () => {
      clearTimeout(typing);
      typing = setTimeout(apply, 250);
    });
    filter.addEventListener('submit', (event) => {
      event.preventDefault();
      clearTimeout(typing);
      apply();
    });
  }

  // ---- Silences: for readers with write access; others get the refusal ----
  const silenceForm = byId('silence-form');
  function offerSilences(root) {
    if (!silenceForm) return;
    for (const button of root.querySelectorAll('button.silence, button.expire, button.replay')) button.hidden = false;
  }
  async function change(method, path, body, done, said = byId('silence-said')) {
    try {
      const answer = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body });
      const reply = await answer.json().catch(() => ({}));
      said.className = answer.ok ? 'said' : 'said refused';
      said.textContent = answer.ok ? [done, reply.warning].filter((text) => text).join(' ') : reply.error || `the exporter answered ${answer.status}`;
      if (answer.ok) refreshSoon();
      return answer.ok;
    } catch (error) {
      said.className = 'said refused';
      said.textContent = 'The exporter cannot be reached: whether anything was changed is not known.';
      return false;
    }
  }
  function refreshSoon() {
    again = underWay;
    refresh();
  }
  if (silenceForm) {
    byId('silence').hidden = false;
    const field = (name) => silenceForm.elements[name];
    field('author').value = localStorage.getItem('author') || '';
    // The exporter renders what the matchers match, as everything else: they are in the address.
    const preview = () => {
      const lines = field('matchers').value.split('\n').filter((line) => line.trim());
      const others = [...new URLSearchParams(location.search)].filter(([name]) => name !== 'silence');
      ask(new URLSearchParams([...others, ...lines.map((line) => ['silence', line])]));
    };
    let writing = null;
    field('matchers').addEventListener('input', () => {
      clearTimeout(writing);
      writing = setTimeout(preview, 250);
    });
    silenceForm.addEventListener('submit', async (event) => {
      event.preventDefault();
      const lines = field('matchers').value.split('\n').map((line) => line.trim()).filter((line) => line);
      const wrong = lines.find((line) => !line.includes('='));
      if (wrong) {
        byId('silence-said').className = 'said refused';
        byId('silence-said').textContent = `${wrong}: write label=value`;
        return;
      }
      const cut = (line) => [line.slice(0, line.indexOf('=')).trim(), line.slice(line.indexOf('=') + 1).trim()];
      const wanted = {
        matchers: Object.fromEntries(lines.map(cut)),
        duration_seconds: Number(field('duration').value),
        author: field('author').value,
        comment: field('comment').value,
      };
      localStorage.setItem('author', wanted.author);
      if (await change('POST', '/api/v1/silences', JSON.stringify(wanted), 'Silenced.')) {
        field('matchers').value = field('comment').value = '';
        byId('silence').open = false;
        preview();
      }
    });
    document.addEventListener('click', (event) => {
      const { matchers, id, replay } = event.target.closest('button.silence, button.expire, button.replay')?.dataset ?? {};
      if (matchers) {
        byId('silence').open = true;
        field('matchers').value = matchers;
        preview();
        field(field('author').value ? 'comment' : 'author').focus();
      } else if (replay) {
        change('POST', `/api/v1/deliveries/${encodeURIComponent(replay)}/replay`, undefined, 'Sent again.', byId('replay-said'));
      } else if (id) {
        change('DELETE', `/api/v1/silences/${encodeURIComponent(id)}`, undefined, 'The silence was ended.');
      }
    });
  }

  // ---- Reading a chart: by pointer or by the arrow keys ----
  let chosen = null; // the begin of a step, in Unix seconds
  const rows = () => [...document.querySelectorAll('#all-values tr[data-t]')].reverse();
  const begin = (row) => Number(row.dataset.t);
  const axis = (chart) => Object.fromEntries(['left', 'right', 'since', 'until'].map((key) => [key, Number(chart.dataset[key])]));
  function placeCursors() {
    for (const chart of document.querySelectorAll('svg.chart')) {
      const { left, right, since, until } = axis(chart);
      const x = left + ((chosen - since) / (until - since)) * (right - left);
      const cursor = chart.querySelector('.cursor');
      cursor.classList.toggle('shown', chosen !== null && x >= left && x <= right);
      if (chosen !== null) cursor.setAttribute('transform', `translate(${x.toFixed(1)} 0)`);
    }
  }
  function read(row) {
    chosen = begin(row);
    placeCursors();
    const [at, lag, bytes, headroom, state] = [...row.cells].map((cell) => cell.textContent);
    byId('reading').textContent = `From ${at} UTC: lag ${lag}, ${bytes} behind, ${headroom} of the backlog left, ${state}`;
  }
  for (const chart of document.querySelectorAll('svg.chart')) {
    chart.addEventListener('pointermove', (event) => {
      const box = chart.getBoundingClientRect();
      const { left, right, since, until } = axis(chart);
      const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
      const at = since + ((x - left) / (right - left)) * (until - since);
      const before = rows().filter((row) => begin(row) <= at).pop();
      if (before) read(before);
    });
    chart.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
      const all = rows();
      if (step === undefined || !all.length) return;
      event.preventDefault();
      const there = chosen === null ? -1 : all.findIndex((row) => begin(row) >= chosen);
      const place = (there < 0 ? all.length - 1 : there) + step;
      read(all[Math.min(all.length - 1, Math.max(0, place))]);
    });
  }

  addDistances(document);
  offerSilences(document);
  show('connecting');
  listen();
})();
