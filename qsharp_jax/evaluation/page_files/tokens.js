// Every token of some answers: its value, its probabilities, its alternatives.

const VIEWS = {
  value: ['value: expected reward after the token', (t, data) => ['up', share(data, t.value)]],
  guided: ['guidance: made likelier or less likely', (t) => {
    const ratio = Math.log(Math.max(t.guided, 1e-9) / Math.max(t.reference, 1e-9));
    return [ratio < 0 ? 'down' : 'up', Math.min(1, Math.abs(ratio) / 1.5)];
  }],
  surprise: ['surprise: improbable under the reference', (t) => ['down', 1 - t.reference]],
};

// Where a value lies between the least and the greatest.
function share(data, value) {
  const [low, high] = data.bounds;
  return Math.max(0, Math.min(1, (value - low) / (high - low)));
}

// A value in as many decimals as its range needs.
function valueText(data, value) {
  const [low, high] = data.bounds;
  return value.toFixed(Math.max(0, 3 - Math.round(Math.log10(high - low))));
}

function tokens(data) {
  const own = data.tokens;
  const holder = el('div');
  let view = 'value';
  let index = 0;
  const draw = () => holder.replaceChildren(...tokensOf(own, own.questions[index], view));
  const picker = choice('Question', own.questions.map((q, i) => [i, shortened(q.question || q.id, 70)]), (value) => { index = Number(value); draw(); });
  data.showTokens = (i) => { picker.querySelector('select').value = index = i; draw(); };
  draw();
  return [
    el('p', { class: 'controls' }, own.questions.length > 1 ? picker : null,
      choice('Colour', Object.entries(VIEWS).map(([name, [label]]) => [name, label]), (value) => { view = value; draw(); })),
    el('p', { class: 'note' }, 'The bar under a token is the value after it; ▲ and ▼: guidance made it likelier or less likely by a tenth or more. The mouse, or Tab and the arrow keys, show a token’s alternatives.'),
    holder,
  ];
}

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function tokensOf(data, question, view) {
  return [
    el('p', {}, el('b', {}, question.question || question.id)),
    question.gold ? el('div', { class: 'gold' }, el('b', {}, 'Gold answer '), el('pre', {}, question.gold)) : null,
    ...question.answers.map((answer) => followed(data, answer, view)),
  ].filter(Boolean);
}

// One answer as a strip of tokens beside the panel of the one looked at.
function followed(data, answer, view) {
  const panel = el('div', { class: 'panel', 'aria-live': 'polite' });
  const all = answer.tokens.map((row, i) => tokenOf(row, i, answer));
  const nodes = all.map((token, i) => box(data, token, view, () => look(i)));
  function look(i) {
    nodes.forEach((node, j) => {
      node.tabIndex = i === j ? 0 : -1;
      node.classList.toggle('seen', i === j);
    });
    panel.replaceChildren(...details(data, all[i], answer));
  }
  const strip = el('div', { class: 'strip', role: 'group', 'aria-label': `Tokens of ${answer.label}`, keydown: (event) => move(event, nodes) },
    nodes.flatMap((node, i) => all[i].text.includes('\n') ? [node, el('br')] : [node]));
  look(firstChanged(all));
  return el('section', { class: 'followed' },
    el('h4', {}, answer.label, el('small', {}, answer.reward === null ? '' : ` reward ${number(answer.reward)}`)),
    el('div', { class: 'beside' }, el('div', {}, strip, running(data, all)), panel));
}

function tokenOf([text, value, reference, guided, others, distribution], i, answer) {
  return { text, value, reference, guided, others, distribution, i, before: i ? answer.tokens[i - 1][1] : undefined };
}

// The token that guidance changes the most is the first to look at.
function firstChanged(all) {
  const change = (t) => Math.abs(Math.log(Math.max(t.guided, 1e-9) / Math.max(t.reference, 1e-9)));
  return all.reduce((best, t, i) => (change(t) > change(all[best]) ? i : best), 0);
}

function visible(text) {
  return text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length)) || '∅';
}

function box(data, token, view, look) {
  const [tone, strength] = VIEWS[view][1](token, data);
  const ratio = token.guided / Math.max(token.reference, 1e-12);
  const sign = ratio > 1.1 ? '▲' : ratio < 1 / 1.1 ? '▼' : '';
  const bar = el('i', { class: 'bar' });
  bar.style.width = width(share(data, token.value));
  const node = el('button', { type: 'button', class: `token ${tone}`, pointerenter: look, focus: look, click: look,
    'aria-label': `${visible(token.text)}, value ${valueText(data, token.value)}, reference ${percent(token.reference)}, guided ${percent(token.guided)}` },
  el('span', {}, visible(token.text)), el('sup', {}, sign), el('i', { class: 'rail' }, bar));
  node.style.setProperty('--strength', width(0.55 * strength));
  return node;
}

function move(event, nodes) {
  const at = nodes.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: nodes.length - 1 }[event.key];
  if (at < 0 || to === undefined || !nodes[to]) return;
  event.preventDefault();
  nodes[to].focus();
}

// The value after every token; where it is a distribution, its middle 80%.
function running(data, all) {
  const points = all.map((t) => ({ x: t.i + 1, y: t.value, tip: [visible(t.text), `value ${valueText(data, t.value)}`] }));
  const spread = all.every((t) => t.distribution)
    ? [all.map((t) => ({ x: t.i + 1, low: quantile(data.atoms, t.distribution, 0.1), high: quantile(data.atoms, t.distribution, 0.9) }))] : [];
  return chart({
    title: 'Value by token', height: 190, x: { label: 'token', domain: [0.5, all.length + 0.5] },
    y: { label: 'expected reward', domain: around(data.bounds, 0.04) }, bands: spread,
    series: [{ label: spread.length ? 'mean; band: the middle 80%' : null, colour: 0, marker: 0, points }],
  });
}

function quantile(atoms, probabilities, level) {
  let sum = 0;
  return atoms[probabilities.findIndex((p) => (sum += p) >= level - 1e-9)] ?? atoms[atoms.length - 1];
}

function details(data, token, answer) {
  const ratio = token.guided / Math.max(token.reference, 1e-12);
  const line = (name, text) => el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, text));
  return [
    el('h5', {}, 'Token ', el('code', {}, visible(token.text)), `, ${token.i + 1} of ${answer.tokens.length}`),
    el('table', {}, el('tbody', {},
      line('value after it', valueText(data, token.value) + (token.before === undefined ? '' : `, before it ${valueText(data, token.before)}`)),
      line('reference', percent(token.reference)),
      line('guided', `${percent(token.guided)} (× ${number(ratio)})`))),
    histogram(data, token),
    el('table', { class: 'others' }, el('caption', {}, 'What the reference would write here'),
      el('thead', {}, el('tr', {}, ['token', 'value', 'reference', 'guided'].map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', {}, token.others.map(([text, value, reference, guided]) => el('tr', { class: text === token.text ? 'seen' : null },
        el('td', {}, el('code', {}, visible(text))), el('td', {}, valueText(data, value)),
        el('td', {}, percent(reference)), el('td', {}, percent(guided)))))),
  ];
}

// The distribution of the reward as the value sees it after the token.
function histogram(data, token) {
  const [low, high] = data.bounds;
  const atoms = token.distribution ? data.atoms : data.isChance ? [low, high] : [];
  const probabilities = token.distribution || [1 - token.value, token.value];
  if (!atoms.length) return el('div');
  const most = Math.max(...probabilities);
  return el('div', { class: `histogram ${atoms.length > 4 ? 'fine' : ''}`, role: 'img', 'aria-label': 'Distribution of the reward' },
    atoms.map((atom, i) => {
      const bar = el('i', { title: `reward ${number(atom)}: ${percent(probabilities[i])}` });
      bar.style[atoms.length > 4 ? 'height' : 'width'] = width(probabilities[i] / (atoms.length > 4 ? most : 1));
      return el('div', {}, atoms.length > 4 ? null : el('span', {}, `reward ${number(atom)} `), el('b', {}, bar),
        atoms.length > 4 ? null : el('span', {}, percent(probabilities[i])));
    }));
}
