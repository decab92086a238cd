// How values were learnt, what they are worth, and what all of it took.

function calibration(data) {
  const rounds = Object.entries(data.values || {})
    .filter(([, found]) => (found.held_out_questions || {}).by_position);
  if (!rounds.length) return null;
  const holder = el('div', { class: 'pair' });
  const draw = (name) => holder.replaceChildren(...calibrationOf(data.values[name].held_out_questions));
  const last = rounds[rounds.length - 1][0];
  draw(last);
  return [
    el('p', { class: 'controls' }, choice('Values of', rounds.map(([name]) => [name, name]).reverse(), draw)),
    holder,
  ];
}

function calibrationOf(found) {
  const bins = found.by_position;
  const names = bins.map((b) => (b.high - b.low <= 1 ? number(b.low) : `${number(b.low)}–${number(b.high - 1)}`));
  const at = (key, label) => bins.map((b, i) => ({ x: i, y: b[key], tip: [`tokens ${names[i]}`, `${label} ${number(b[key])}`, `${b.count} tokens`] }));
  const means = bins.flatMap((b) => [b.mean_prediction, b.mean_label]);
  const parts = [chart({
    title: 'Forecast and observed mean reward, held-out questions',
    x: { label: 'response token', domain: [-0.4, bins.length - 0.6], ticks: names.map((name, i) => [i, name]) },
    y: { label: 'mean reward', domain: around(means) },
    series: [
      { label: 'forecast', colour: 0, marker: 0, points: at('mean_prediction', 'forecast') },
      { label: 'observed', colour: 1, marker: 1, dashed: true, points: at('mean_label', 'observed') },
    ],
  })];
  const shares = found.pit_histogram;
  if (shares) {
    const width = 1 / shares.length;
    parts.push(chart({
      title: 'Probability integral transform: flat where calibrated',
      x: { label: 'transform of the observed reward', domain: [0, 1] },
      y: { label: 'density', domain: [0, 1.1 * Math.max(1, ...shares)] },
      series: [
        { bars: width, colour: 0, points: shares.map((y, i) => ({ x: i * width, y, tip: [`${number(i * width)} to ${number((i + 1) * width)}`, `density ${number(y)}`] })) },
        { label: 'calibrated', dashed: true, points: [{ x: 0, y: 1 }, { x: 1, y: 1 }] },
      ],
    }));
  }
  return [...parts, el('p', { class: 'note wide' }, numbersOf(found))];
}

function numbersOf(found) {
  const names = ['loss', 'log_likelihood', 'crps', 'pit_error', 'explained_variance', 'roc_auc', 'calibration_error'];
  return names.filter((name) => typeof found[name] === 'number')
    .map((name) => `${name.replaceAll('_', ' ')} ${number(found[name])}`).join(', ');
}

function curves(data) {
  const names = [...new Set(data.curves.flatMap((own) => Object.keys(own.numbers)))];
  const holder = el('div', { class: 'pair' });
  const draw = (name) => holder.replaceChildren(...data.curves
    .filter((own) => own.numbers[name]).map((own) => curve(own, name)));
  const first = names.includes('loss') ? 'loss' : names[0];
  draw(first);
  const others = names.filter((name) => name !== first);
  return [el('p', { class: 'controls' }, choice('Show', [first, ...others].map((name) => [name, name.replaceAll('_', ' ')]), draw)), holder];
}

function curve(own, name) {
  const [steps, numbers] = own.numbers[name];
  const points = steps.map((x, i) => ({ x, y: numbers[i] })).filter((p) => p.y !== null);
  const last = points[points.length - 1];
  if (last) last.tip = [own.name, `step ${last.x}`, `${name} ${number(last.y)}`];
  return chart({
    title: own.name,
    x: { label: 'step', domain: [0, Math.max(1, steps[steps.length - 1])] },
    y: { label: name.replaceAll('_', ' '), domain: around(points.map((p) => p.y)) },
    series: [{ colour: 0, marker: 0, points }],
  });
}

function cost(data) {
  const { total, ...stages } = data.seconds;
  const sums = new Map();
  for (const [name, seconds] of Object.entries(stages)) {
    const kind = name.replace(/^evaluate_(\w+?)_.*/, 'answers to $1 questions')
      .replace(/^judge_.*/, 'values of whole answers').replaceAll('_', ' ');
    sums.set(kind, (sums.get(kind) || 0) + seconds);
  }
  const most = Math.max(...sums.values());
  const rows = [...sums].map(([name, seconds]) => {
    const bar = el('i');
    bar.style.width = width(seconds / most);
    return el('tr', {}, el('th', { scope: 'row' }, name), el('td', { class: 'number' }, `${seconds.toFixed(1)} s`), el('td', { class: 'span' }, bar));
  });
  const stagesTable = rows.length ? [el('table', { class: 'cost' }, el('caption', {}, `Stages${total ? `, ${number(total)} s in all` : ''}`), el('tbody', {}, rows))] : [];
  const { names, cost: columns } = data.groups;
  return [...stagesTable, columns.length
    ? sortable(columnsOf(data, [...names, ...columns]), cellsOf(data, names, columns), 'Sampling') : null];
}

function about(data) {
  const list = (pairs) => el('dl', {}, Object.entries(pairs).flatMap(([name, text]) => [el('dt', {}, name), el('dd', {}, text === null ? '–' : String(text))]));
  const failed = Object.entries(data.failed_rewards)
    .map(([split, own]) => `${split} ${own.failed} of ${own.samples}`).join(', ');
  const there = new Set(data.rows.flatMap((row) => Object.keys(row)));
  const known = Object.entries(data.definitions).filter(([name]) => there.has(name));
  return [
    failed ? el('p', {}, `Failed rewards: ${failed}.`) : null,
    data.verified ? el('p', {}, data.verified) : null,
    el('h3', {}, 'Columns'), list(Object.fromEntries(known)),
    el('h3', {}, 'Versions'), list(data.versions),
  ];
}
