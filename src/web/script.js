// Keeps the page fresh and adds the reader's own time. Without it the page is whole, and renews itself every 5 seconds.
'use strict';
(() => {
  const REFRESH_AT_MOST_EVERY = 2000; // ms; a page is rendered for everybody who waits, but not for nothing
  const SILENT_AFTER = 10000; // ms without a word from the stream: it says something at least every two seconds
  const RETRY_EVERY = 5000; // ms; while the stream is broken

  const byId = (id) => document.getElementById(id);
  const stream = byId('stream');
  if (!stream) return;

  // ---- Local time beside UTC ----
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'local time';
  const isUtc = new Date().getTimezoneOffset() === 0;
  const local = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const localDay = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
  function addLocalTimes(root) {
    for (const time of root.querySelectorAll('time[datetime]')) {
      const date = new Date(time.dateTime);
      if (isNaN(date)) continue;
      time.title = `${localDay.format(date)} (${zone})`;
      if (!isUtc) time.append(Object.assign(document.createElement('span'), { className: 'local', textContent: ` (${local.format(date)} local)` }));
    }
  }
  byId('zone').textContent = isUtc ? '' : `, with ${zone} beside`;

  // ---- The page anew, in place: what did not change stays, with its focus, its scroll and its open details ----
  function sameKind(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id;
  }
  function morph(from, to) {
    if (from.nodeType === Node.TEXT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) return;
    for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && !(name === 'open' && from.nodeName === 'DETAILS')) from.removeAttribute(name);
    const wanted = [...to.childNodes];
    wanted.forEach((child, n) => {
      const there = from.childNodes[n];
      if (!there) from.append(child);
      else if (sameKind(there, child)) morph(there, child);
      else there.replaceWith(child);
    });
    while (from.childNodes.length > wanted.length) from.lastChild.remove();
  }
  let under_way = false;
  let again = false;
  let newest = Number(byId('notices').dataset.now);
  async function refresh() {
    if (document.hidden) return;
    if (under_way) {
      again = true;
      return;
    }
    under_way = true;
    const began = Date.now();
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { accept: 'text/html' } });
      if (!answer.ok) throw new Error(`the exporter answered ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      addLocalTimes(page);
      offerSilences(page);
      for (const part of document.querySelectorAll('[data-live]')) {
        const fresh = page.getElementById(part.id);
        if (fresh) morph(part, fresh);
      }
      document.title = page.title;
      newest = Number(page.getElementById('notices').dataset.now);
      updated();
      placeCursors();
    } catch (error) {
      if (mode === 'live') show('stale');
    } finally {
      setTimeout(() => {
        under_way = false;
        if (again) {
          again = false;
          refresh();
        }
      }, Math.max(0, began + REFRESH_AT_MOST_EVERY - Date.now()));
    }
  }

  // ---- The stream, and how old the page is ----
  const words = { connecting: 'Connecting:', live: 'Live:', stale: 'The stream is broken:', polling: 'No stream, asking again and again:' };
  let mode = 'connecting';
  let lastUpdate = Date.now();
  let lastWord = Date.now();
  function show(next) {
    mode = next;
    stream.dataset.mode = next;
    const text = byId('stream-mode');
    if (text.textContent !== words[next]) text.textContent = words[next];
    showAge();
  }
  function showAge() {
    const age = Math.max(0, Math.round((Date.now() - lastUpdate) / 1000));
    byId('stream-age').textContent = `last update ${age} s ago`;
    document.body.classList.toggle('old', age >= 15);
  }
  function updated() {
    lastUpdate = Date.now();
    showAge();
  }
  let source = null;
  function listen() {
    source = new EventSource('/api/v1/events');
    const word = () => {
      lastWord = Date.now();
      if (mode !== 'live') show('live');
    };
    source.addEventListener('snapshot', (event) => {
      word();
      // Only what is newer than the page is worth a rendering.
      if (JSON.parse(event.data).exporter.now_timestamp > newest) refresh();
    });
    source.addEventListener('state', word);
    source.addEventListener('alert', word);
    source.onerror = () => {
      // A browser connects again by itself, unless it was refused.
      show(source.readyState === EventSource.CLOSED ? 'polling' : 'stale');
    };
  }
  setInterval(() => {
    showAge();
    if (mode === 'live' && Date.now() - lastWord > SILENT_AFTER) show('stale');
  }, 1000);
  setInterval(() => {
    if (mode === 'live') return;
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      listen();
    }
    refresh();
  }, RETRY_EVERY);
  document.addEventListener('visibilitychange', () => document.hidden || refresh());

  // ---- The filter, while it is typed ----
  const filter = document.querySelector('form.filter');
  if (filter) {
    let typing = null;
    const apply = () => {
      const given = [...new FormData(filter)].filter(([, value]) => value !== '');
      const query = new URLSearchParams(given).toString();
      history.replaceState(null, '', query ? `/?${query}` : '/');
      again = under_way;
      refresh();
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

  // ---- Silences: made and ended by who may; who may not is told so ----
  const silenceForm = byId('silence-form');
  function offerSilences(root) {
    if (!silenceForm) return;
    for (const button of root.querySelectorAll('button.silence, button.expire, button.replay')) button.hidden = false;
  }
  async function change(method, path, body, done, said = byId('silence-said')) {
    try {
      const answer = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body });
      const told = await answer.json().catch(() => ({}));
      said.className = answer.ok ? 'said' : 'said refused';
      said.textContent = answer.ok ? done : told.error || `the exporter answered ${answer.status}`;
      if (answer.ok) refreshSoon();
      return answer.ok;
    } catch (error) {
      said.className = 'said refused';
      said.textContent = 'The exporter cannot be reached: nothing was changed as far as can be known.';
      return false;
    }
  }
  function refreshSoon() {
    again = under_way;
    refresh();
  }
  if (silenceForm) {
    byId('silence').hidden = false;
    const field = (name) => silenceForm.elements[name];
    field('author').value = localStorage.getItem('author') || '';
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
      if (await change('POST', '/api/v1/silences', JSON.stringify(wanted), 'It is silenced.')) {
        field('matchers').value = field('comment').value = '';
        byId('silence').open = false;
      }
    });
    document.addEventListener('click', (event) => {
      const { matchers, id, replay } = event.target.closest('button.silence, button.expire, button.replay')?.dataset ?? {};
      if (matchers) {
        byId('silence').open = true;
        field('matchers').value = matchers;
        field(field('author').value ? 'comment' : 'author').focus();
      } else if (replay) {
        change('POST', `/api/v1/deliveries/${encodeURIComponent(replay)}/replay`, undefined, 'It is sent again.', byId('replay-said'));
      } else if (id) {
        change('DELETE', `/api/v1/silences/${encodeURIComponent(id)}`, undefined, 'It is ended.');
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
    const [at, lag, bytes, state] = [...row.cells].map((cell) => cell.textContent);
    byId('reading').textContent = `From ${at}: lag ${lag}, ${bytes} behind, ${state}`;
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

  addLocalTimes(document);
  offerSilences(document);
  show('connecting');
  listen();
})();
