import { at, call, describe, say, start } from './platform.js';

const percent = (share) => `${(share * 100).toFixed(1)} %`;

function cell(content) {
  const element = document.createElement('td');
  element.append(content);
  return element;
}

function candidate({ route, confidence }) {
  const row = document.createElement('tr');
  const bar = document.createElement('meter');
  bar.value = confidence;
  bar.setAttribute('aria-label', `Confidence in ${route}`);
  row.append(cell(route), cell(bar), cell(percent(confidence)));
  return row;
}

/** Shows what this release's answer has; releases differ in what they add. */
function show(answer) {
  at('result').hidden = false;
  at('route').textContent = answer.prediction;
  at('operations').replaceChildren(
    ...(answer.operations ?? []).map((operation) => {
      const item = document.createElement('li');
      item.textContent = operation;
      return item;
    }),
  );
  at('candidates').replaceChildren(...answer.candidates.map(candidate));
  const facts = [
    ['Item', answer.item_code],
    ['Release', answer.release],
    ['Model', answer.model.version],
    ['From cache', answer.cached ? 'yes' : 'no'],
  ];
  if (answer.interval) {
    facts.push(['95 % interval', `${percent(answer.interval.low)} – ${percent(answer.interval.high)}`]);
  }
  if (answer.latency_ms !== undefined) facts.push(['Took', `${answer.latency_ms.toFixed(1)} ms`]);
  if (answer.similar_items) {
    facts.push(['Most like', answer.similar_items.map((item) => item.item_code).join(', ')]);
  }
  describe('facts', facts);
}

at('ask').addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = event.target.querySelector('button');
  const code = String(new FormData(event.target).get('code')).trim().toUpperCase();
  button.disabled = true;
  say('ask-message', 'Asking …');
  try {
    const { body } = await call('/api/routing/predict', { method: 'POST', body: { item_code: code } });
    show(body);
    say('ask-message', body.recorded ? '' : 'The prediction could not be recorded.', 'bad');
  } catch (error) {
    at('result').hidden = true;
    say('ask-message', error.message, 'bad');
  } finally {
    button.disabled = false;
  }
});

start(async () => {
  try {
    const { body } = await call('/api/routing/items');
    at('codes').replaceChildren(
      ...body.items.slice(0, 400).map((code) => {
        const option = document.createElement('option');
        option.value = code;
        return option;
      }),
    );
  } catch (error) {
    say('ask-message', error.message, 'bad');
  }
});
