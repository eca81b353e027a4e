// What both pages share: the API, the session, and the line that says which release is being looked at.

const TOKEN = 'routing-ml-token';

/** The element with an id; a page without it is a programming error. */
export const at = (id) => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element;
};

/** Calls the API and returns { status, release, body }. Throws an Error whose message may be shown. */
export async function call(path, options = {}) {
  const headers = { Accept: 'application/json' };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, {
      method: options.method ?? 'GET',
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: AbortSignal.timeout(20_000),
      cache: 'no-store',
    });
  } catch {
    throw new Error('The platform does not answer. Try again in a moment.');
  }
  const release = response.headers.get('X-Appliance-Release');
  const body = await response.json().catch(() => ({}));
  if (release) showRelease(release);
  if (response.status === 401 && path !== '/api/auth/login') {
    signOut('The session has ended; sign in again.');
  }
  if (!response.ok && !options.tolerate?.includes(response.status)) {
    throw new Error(body.error?.message ?? `The platform answered ${response.status}.`);
  }
  return { status: response.status, release, body };
}

export function say(id, text, kind = '') {
  const element = at(id);
  element.textContent = text;
  element.dataset.kind = kind;
}

let pageRelease = null;

/** Shows the release that answered, and marks it when the page itself came from another one. */
function showRelease(release) {
  const badge = at('release');
  badge.textContent = release;
  const agrees = pageRelease === null || pageRelease === release;
  badge.dataset.agrees = agrees ? 'yes' : 'no';
  badge.title = agrees ? 'Release of page and platform' : `This page is from ${pageRelease}: load it again`;
}

async function identify() {
  const answer = await fetch('VERSION', { method: 'HEAD', cache: 'no-store' });
  pageRelease = answer.headers.get('X-Appliance-Release');
  const news = await fetch('release.json', { cache: 'no-store' }).then((response) => response.json());
  at('news').textContent = news.news;
}

/** Keeps the line of the platform's state current. */
async function watchHealth() {
  try {
    const { body } = await call('/health', { tolerate: [503] });
    const model = body.model ? `model ${body.model.version}` : 'no model';
    at('health').textContent = `Platform ${body.status} · ${model} · page ${pageRelease ?? 'unknown'}`;
  } catch (error) {
    at('health').textContent = error.message;
  }
}

function signOut(reason = '') {
  sessionStorage.removeItem(TOKEN);
  at('work').hidden = true;
  at('sign-out').hidden = true;
  at('sign-in').hidden = false;
  say('sign-in-message', reason);
}

/** Wires the sign-in form; `entered` runs whenever somebody is signed in. */
export async function start(entered) {
  const enter = () => {
    at('sign-in').hidden = true;
    at('work').hidden = false;
    at('sign-out').hidden = false;
    entered();
  };
  at('sign-in-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    say('sign-in-message', 'Signing in …');
    try {
      const { body } = await call('/api/auth/login', {
        method: 'POST',
        body: { username: form.get('username'), password: form.get('password') },
      });
      sessionStorage.setItem(TOKEN, body.access_token);
      event.target.reset();
      say('sign-in-message', '');
      enter();
    } catch (error) {
      say('sign-in-message', error.message, 'bad');
    }
  });
  at('sign-out').addEventListener('click', () => signOut());
  await identify().catch(() => {});
  await watchHealth();
  setInterval(watchHealth, 10_000);
  if (sessionStorage.getItem(TOKEN)) enter();
}

/** Fills a <dl> with [label, value] pairs. */
export function describe(id, pairs) {
  at(id).replaceChildren(
    ...pairs.map(([label, value]) => {
      const group = document.createElement('div');
      const term = document.createElement('dt');
      const detail = document.createElement('dd');
      term.textContent = label;
      detail.textContent = value;
      group.append(term, detail);
      return group;
    }),
  );
}
