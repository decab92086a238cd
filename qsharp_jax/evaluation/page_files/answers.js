// Answers of the reference and of a guided policy, side by side.

const PAGE_OF_ANSWERS = 20;

const ORDERS = {
  worst: ['worst guided first', (q, i) => [q.means[i], q.means[i] - q.means[0]]],
  lost: ['most lost by guidance first', (q, i) => [q.means[i] - q.means[0], q.means[i]]],
  gained: ['most gained by guidance first', (q, i) => [q.means[0] - q.means[i], -q.means[i]]],
  asked: ['as asked', () => [0, 0]],
};

function answers(data) {
  const { policies, questions, total } = data.answers;
  let state = { words: '', policy: 1, order: 'worst', most: PAGE_OF_ANSWERS };
  const list = el('div', { class: 'answers' });
  const count = el('p', { class: 'note', role: 'status' });
  const more = el('button', { type: 'button', click: () => set({ most: state.most + PAGE_OF_ANSWERS }) }, 'Show more');
  const set = (change) => { state = { ...state, ...change }; draw(); };
  const restart = (change) => set({ most: PAGE_OF_ANSWERS, ...change });

  function draw() {
    const key = ORDERS[state.order][1];
    const found = questions.filter((q) => isFound(q, state.words))
      .map((q) => [key(q, state.policy), q])
      .sort(([a], [b]) => a[0] - b[0] || a[1] - b[1]).map(([, q]) => q);
    const shown = found.slice(0, state.most);
    count.textContent = `${shown.length} of ${found.length} questions`
      + (found.length < questions.length ? ` that match, of ${questions.length}` : '')
      + (total > questions.length ? `; the worst of ${total}` : '');
    list.replaceChildren(...shown.map((q) => question(data, q, [0, state.policy])));
    more.hidden = found.length <= shown.length;
  }

  draw();
  return [
    el('p', { class: 'controls' },
      el('label', {}, 'Search ', el('input', { type: 'search', id: 'search', input: (event) => restart({ words: event.target.value.toLowerCase() }) })),
      policies.length > 2 ? choice('Guided by', policies.slice(1).map((p, i) => [i + 1, p.label]), (value) => restart({ policy: Number(value) })) : null,
      choice('Order', Object.entries(ORDERS).map(([name, [label]]) => [name, label]), (value) => restart({ order: value }))),
    count, list, more,
  ];
}

// Whether all words are in the question, its gold answer or an answer.
function isFound(question, words) {
  const text = question.search ??= [question.question, question.gold,
    ...question.answers.flat().map((answer) => answer.text)].join('\n').toLowerCase();
  return words.split(/\s+/).every((word) => text.includes(word));
}

function question(data, own, columns) {
  const seen = data.tokens && data.tokens.questions.findIndex((q) => q.id === own.id);
  return el('article', {},
    el('h3', {}, own.question || own.id),
    el('div', { class: 'gold' }, el('b', {}, 'Gold answer '), el('pre', {}, own.gold || '–')),
    el('div', { class: 'sides' }, columns.map((i) => el('section', {},
      el('h4', {}, data.answers.policies[i].label,
        el('small', {}, ` mean reward ${number(own.means[i])} over ${own.counts[i]} ${own.counts[i] === 1 ? 'sample' : 'samples'}`)),
      own.answers[i].map(answer),
      others(own, i)))),
    seen >= 0 ? el('p', {}, el('a', { href: '#tokens', click: () => data.showTokens(seen) }, 'Token by token')) : null);
}

function answer(own) {
  const verdict = own.correct === null ? '' : own.correct ? '✓ ' : '✗ ';
  return el('div', { class: `answer ${own.correct === null ? '' : own.correct ? 'right' : 'wrong'}` },
    el('div', { class: 'verdict' }, el('b', {}, `${verdict}reward ${number(own.reward)}`),
      own.count > 1 ? ` ${own.count} times` : ' once', own.error ? ` (${own.error})` : ''),
    el('pre', {}, own.text || '(nothing)'));
}

function others(own, i) {
  const rest = own.counts[i] - own.answers[i].reduce((sum, a) => sum + a.count, 0);
  return rest ? el('p', { class: 'note' }, `and ${rest} more samples`) : null;
}
