// One call of the document: a form for its parameters, and what came back.

import { el } from '/web/dom.js';

/** A small example of what a schema describes. */
export function example(document, schema) {
  if (!schema) return null;
  if (schema.$ref) return example(document, document.components.schemas[schema.$ref.split('/').pop()]);
  const one = schema.oneOf ?? schema.anyOf;
  if (one)
    return example(
      document,
      one.find((s) => s.type !== 'null'),
    );
  if (schema.enum) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type.find((t) => t !== 'null') : schema.type;
  switch (type) {
    case 'object': {
      const needed = new Set(schema.required ?? []);
      const names = Object.keys(schema.properties ?? {});
      return Object.fromEntries(
        (needed.size ? names.filter((n) => needed.has(n)) : names.slice(0, 3)).map((name) => [
          name,
          example(document, schema.properties[name]),
        ]),
      );
    }
    case 'array':
      return [];
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 0, 1);
    case 'boolean':
      return false;
    default:
      return '';
  }
}

function field(parameter) {
  const input = el('input', {
    required: parameter.required,
    autocomplete: 'off',
    spellcheck: 'false',
    placeholder: parameter.required ? '' : 'not sent',
  });
  const label = el(
    'label',
    { title: parameter.description },
    el('span', {}, `${parameter.name} (${parameter.in})`),
    input,
  );
  return { parameter, input, label };
}

/** What is asked, from what stands in the fields. */
export function request(path, fields) {
  const query = new URLSearchParams();
  const headers = {};
  let made = path;
  for (const { parameter, value } of fields) {
    if (value === '') continue;
    if (parameter.in === 'path') made = made.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (parameter.in === 'query') query.set(parameter.name, value);
    else headers[parameter.name] = value;
  }
  const asked = query.toString();
  return { url: `/api/v1${made}${asked && `?${asked}`}`, headers };
}

export function call(document, method, path, operation, key) {
  const fields = (operation.parameters ?? []).map(field);
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  const body = schema && el('textarea', { spellcheck: 'false', 'aria-label': 'Body' });
  if (body) body.value = JSON.stringify(example(document, schema), null, 2);
  const said = el('pre', { hidden: true, tabindex: 0, role: 'status' });

  async function send(event) {
    event.preventDefault();
    const { url, headers } = request(
      path,
      fields.map(({ parameter, input }) => ({ parameter, value: input.value })),
    );
    if (key()) headers.Authorization = `Bearer ${key()}`;
    if (body) headers['Content-Type'] = 'application/json';
    said.hidden = false;
    said.textContent = '…';
    try {
      const answer = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value });
      const type = answer.headers.get('content-type') ?? '';
      const content = type.includes('json')
        ? JSON.stringify(await answer.json(), null, 2)
        : type
          ? `(${type}, ${(await answer.blob()).size} bytes)`
          : '';
      said.textContent = `${answer.status} ${answer.statusText}\n${content}`.trim();
    } catch (error) {
      said.textContent = String(error);
    }
  }

  return el(
    'details.call.card',
    {},
    el(
      'summary',
      {},
      el(`span.badge.method${method === 'delete' ? '.bad' : ''}`, {}, method),
      el('code', {}, path),
      el('span.small.soft', {}, operation.summary ?? ''),
    ),
    el(
      'form.try',
      { onsubmit: send },
      operation.description ? el('p.soft.small', {}, operation.description) : null,
      fields.length
        ? el(
            'div.fields',
            {},
            fields.map((f) => f.label),
          )
        : null,
      body,
      el('div', {}, el('button.button.primary.little', { type: 'submit' }, 'Send')),
      said,
    ),
  );
}
