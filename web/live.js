// Keeps a page up to date: listens to the stream its body names, and puts the server's own rendering in place of what has
// changed. Does nothing where it can't; the page works without it.
(() => {
  const stream = document.body.dataset.events;
  if (!stream || !window.EventSource) return;
  const said = document.getElementById('said');
  const state = document.getElementById('live-state');
  const AT_MOST_EVERY_MS = 1000;
  const AT_LEAST_EVERY_MS = 30000;
  let busy = false;
  let wanted = false;
  let last = 0;

  const tell = (text) => {
    if (state) state.textContent = text;
  };

  const sentences = () => [...document.querySelectorAll('[data-say]')].map((part) => part.dataset.say).join(' ');

  const put = (fresh) => {
    const before = sentences();
    for (const part of document.querySelectorAll('[data-live]')) {
      const other = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!other || other.outerHTML === part.outerHTML) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      const place = focused?.getAttribute('href');
      part.replaceWith(other);
      if (place) other.querySelector(`[href="${CSS.escape(place)}"]`)?.focus();
    }
    document.title = fresh.title;
    // Where it is, when that has changed; never the counts, which change all the time.
    const after = sentences();
    if (said && after !== before) said.textContent = after;
  };

  const refresh = async () => {
    if (busy || document.hidden) {
      wanted = true;
      return;
    }
    busy = true;
    wanted = false;
    try {
      const reply = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'error' });
      if (reply.ok) put(new DOMParser().parseFromString(await reply.text(), 'text/html'));
    } catch {
      tell('The server can’t be reached; this page may be out of date.');
    }
    last = Date.now();
    setTimeout(() => {
      busy = false;
      if (wanted) void refresh();
    }, AT_MOST_EVERY_MS);
  };

  const source = new EventSource(stream);
  const events = [
    'progress reset change.requested change.planned change.stage change.halted change.resumed change.closed ring.state',
    'ring.halted ring.resumed order.failed approval.opened approval.decided approval.closed endpoint.enrolled endpoint.state',
    'ticket.closedByHand ticket.reopenedByHand',
  ];
  for (const name of events.join(' ').split(' ')) source.addEventListener(name, () => void refresh());
  source.addEventListener('open', () => tell('This page keeps itself up to date.'));
  source.addEventListener('error', () => tell('Not connected; this page may be out of date.'));
  source.addEventListener('end', (event) => {
    // A server that stops is replaced by another; whoever may not look any more need not ask again.
    if (JSON.parse(event.data).reason === 'not allowed any more') {
      source.close();
      tell('You may not look at this any more.');
    }
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && wanted) void refresh();
  });
  // "3 min ago" grows older by itself.
  setInterval(() => {
    if (Date.now() - last >= AT_LEAST_EVERY_MS) void refresh();
  }, AT_LEAST_EVERY_MS);
})();
