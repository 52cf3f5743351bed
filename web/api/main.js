// The page to try the operator API on: made of the document that the server makes of its own calls.

import { el, toast } from '/web/dom.js';
import { call } from './call.js';

const KEPT = 'roomservice.operator';
const view = document.getElementById('view');
const key = document.getElementById('key');
// For as long as the tab is open, and no longer.
key.value = sessionStorage.getItem(KEPT) ?? '';
key.addEventListener('change', () => sessionStorage.setItem(KEPT, key.value.trim()));

try {
  const answer = await fetch('/api/v1/openapi.json');
  const api = await answer.json();
  const calls = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
  view.replaceChildren(
    el('p.soft', {}, api.info.description, ' ', el('a', { href: '/api/v1/openapi.json' }, 'openapi.json')),
    ...api.tags.map((tag) =>
      el(
        'section',
        {},
        el('h2', {}, tag.name, el('span.small.soft', {}, tag.description)),
        calls
          .filter(({ operation }) => operation.tags?.includes(tag.name))
          .map(({ path, method, operation }) => call(api, method, path, operation, () => key.value.trim())),
      ),
    ),
  );
} catch (error) {
  toast(String(error), 'bad');
}
