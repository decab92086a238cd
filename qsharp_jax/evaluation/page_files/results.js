// The table of all methods, and reward against KL.

function labelOf(data, method) {
  const known = data.methods && data.methods[method];
  return known ? known.label : method;
}

function results(data) {
  const { names, compared, besides, cost } = data.groups;
  const table = (isWhole) => {
    const shown = [...compared, ...(isWhole ? [...besides, ...cost] : [])];
    return sortable(columnsOf(data, [...names, ...shown]), cellsOf(data, names, shown), 'Methods; a heading sorts');
  };
  const holder = el('div', {}, table(false));
  const by = data.objective_eta ? `objective at eta ${number(data.objective_eta)}` : 'reward';
  return [
    el('p', { class: 'controls' }, el('label', {},
      el('input', { type: 'checkbox', id: 'all-columns', change: (event) => holder.replaceChildren(table(event.target.checked)) }),
      ' All columns')),
    holder,
    el('p', { class: 'note' }, `The eta with the best ${by} on validation questions is in bold; in brackets 95% intervals over questions.`),
    ...matched(data), ...paired(data),
  ];
}

function matched(data) {
  if (!data.matched) return [];
  const keys = ['kl', 'reward', 'forwards'];
  return [el('h3', {}, 'At the KL of the chosen Q# row'), sortable(
    columnsOf(data, ['method', ...keys]),
    data.matched.map((entry) => [
      { value: entry.method, text: labelOf(data, entry.method) + (entry.is_interpolated ? ' *' : '') },
      ...keys.map((key) => cellOf([entry[key]])),
    ]),
    '* interpolated between a method’s own rows; else the method’s chosen row')];
}

function paired(data) {
  if (!data.paired) return [];
  return [el('h3', {}, 'Objective of Q# less that of others'), sortable(
    ['method', 'eta', 'difference'].map((name) => ({ name })),
    data.paired.map((entry) => [
      { value: entry.method, text: labelOf(data, entry.method) },
      cellOf([entry.eta]), cellOf([entry.difference, entry.ci95]),
    ]),
    'At the same eta, paired by question, with 95% intervals')];
}

function front(data) {
  const points = data.points.filter((p) => p.kl !== null && p.reward !== null);
  if (!points.length) return null;
  const ends = points.flatMap((p) => p.reward_ci95 || [p.reward]);
  const right = 1.3 * Math.max(0.01, ...points.map((p) => p.kl));
  const series = [...optimum(data, right), ...lines(data, points)];
  const bound = data.front ? bands(data, right) : [];
  const [low, top] = around([...ends, ...bound.flat().map((p) => p.high)]);
  return [chart({
    isLarge: true,
    title: 'Mean reward against KL to the reference',
    note: 'numbers: eta; ring: chosen',
    x: { label: 'KL(policy ‖ reference) per response, nats (√ scale)', domain: [-right * 0.0016, right], scale: 'root' },
    y: { label: 'mean reward, 95% interval', domain: [low, top] },
    bands: bound, series,
  })];
}

// The front up to the frame; beyond its last point more KL buys nothing.
function within(data, right) {
  const { kl, reward, low, high } = data.front;
  const all = kl.map((x, i) => ({ x, y: reward[i], low: low[i], high: high[i] }))
    .filter((p) => p.x <= right);
  return [...all, { ...all[all.length - 1], x: right }];
}

function bands(data, right) { return [within(data, right)]; }

function optimum(data, right) {
  if (!data.front) return [];
  const points = within(data, right).map(({ x, y }) => ({ x, y }));
  return [{ label: 'Optimal front, 95% interval', dashed: true, points }];
}

// One line for each method and round, through its etas.
function lines(data, points) {
  const found = [];
  for (const [method, style] of Object.entries(data.methods)) {
    const own = points.filter((p) => p.method === method);
    const rounds = [...new Set(own.map((p) => p.round))].sort((a, b) => a - b);
    for (const round of rounds) {
      const isLast = round === rounds[rounds.length - 1];
      found.push({
        label: style.label + (rounds.length > 1 ? `, round ${round}` : ''),
        colour: style.colour, marker: style.marker ?? 3, hollow: !isLast, thin: !isLast,
        points: own.filter((p) => p.round === round)
          .sort((a, b) => (b.eta ?? 0) - (a.eta ?? 0)).map((p) => point(style.label, p)),
      });
    }
  }
  return found;
}

function point(label, p) {
  const [low, high] = p.reward_ci95 || [p.reward, p.reward];
  return {
    x: Math.max(0, p.kl), y: p.reward, low, high, ring: p.selected,
    text: p.eta === null ? null : number(p.eta),
    tip: [
      label + (p.eta === null ? '' : `, eta ${number(p.eta)}`) + (p.round ? `, round ${p.round}` : ''),
      `reward ${number(p.reward)} ${interval(p.reward_ci95)}`,
      `KL ${number(p.kl)} nats`,
      ...(p.share === null || p.share === undefined ? [] : [`share of the possible gain ${number(p.share)}`]),
      ...(p.selected ? ['chosen on validation questions'] : []),
    ],
  };
}
