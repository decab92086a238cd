// Line charts in SVG, redrawn at the width they have.

const MARKERS = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  (r) => `M${-r} ${-r}H${r}V${r}H${-r}Z`,
  (r) => `M0 ${-1.2 * r}L${1.2 * r} ${r}H${-1.2 * r}Z`,
  (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
  (r) => `M0 ${1.2 * r}L${1.2 * r} ${-r}H${-1.2 * r}Z`,
  (r) => `M${-r} ${-r / 2.6}H${-r / 2.6}V${-r}H${r / 2.6}V${-r / 2.6}H${r}V${r / 2.6}H${r / 2.6}V${r}H${-r / 2.6}V${r / 2.6}H${-r}Z`,
];

const SCALES = {
  linear: (x) => x,
  root: (x) => Math.sign(x) * Math.sqrt(Math.abs(x)),
};

function ticksOf(low, high, most) {
  const step = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(step));
  const size = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= step);
  const ticks = [];
  for (let i = Math.ceil(low / size - 1e-9); i * size <= high * (1 + 1e-9); i++) {
    ticks.push(Number((i * size).toPrecision(12)));
  }
  return ticks;
}

// 0 and round numbers, at most so many on a root axis.
function rootTicks(high, most) {
  const ticks = [];
  for (let power = 7; power >= -6; power--) {
    for (const m of [5, 2, 1]) {
      const tick = Number((m * 10 ** power).toPrecision(6));
      const next = ticks.length ? ticks[0] : Infinity;
      const room = Math.min(Math.sqrt(next) - Math.sqrt(tick), Math.sqrt(tick));
      if (tick <= high && room > Math.sqrt(high) / most) ticks.unshift(tick);
    }
  }
  return [0, ...ticks];
}

// What to draw: {title, x, y, series, bands}. An axis is {label, domain} with
// `scale` and `ticks` ([value, text] pairs) if not the usual. A series is
// {points} with `label`, `colour`, `marker`, `dashed`, `hollow`, `thin`, `bars`
// (their width); a point {x, y} with `low`, `high`, `text`, `ring`, `tip`.
function chart(what) {
  const holder = el('div', { class: 'plot' });
  let width = 0;
  // Its own height is none of its business: a point would lose the focus.
  const draw = () => {
    const now = holder.clientWidth || 640;
    if (now === width) return;
    width = now;
    holder.replaceChildren(drawn(what, width));
  };
  new ResizeObserver(draw).observe(holder);
  return el('figure', { class: what.isLarge ? 'chart large' : 'chart' },
    el('figcaption', {}, what.title), holder, legend(what.series, what.note));
}

function legend(series, note) {
  const named = series.filter((own) => own.label);
  return el('ul', { class: 'legend' }, named.map((own) => el('li', {},
    el('svg', { width: 34, height: 14, viewBox: '0 0 34 14', 'aria-hidden': 'true', class: classOf(own) },
      own.bars ? el('rect', { x: 10, y: 1, width: 14, height: 12, class: 'bar' })
        : el('line', { x1: 1, x2: 33, y1: 7, y2: 7, class: 'line' }),
      own.marker === undefined ? null : mark(own, 17, 7)),
    ` ${own.label}`)), note ? el('li', {}, note) : null);
}

function classOf(own) {
  const colour = own.colour === undefined ? 'plain' : `c${own.colour}`;
  return [colour, own.dashed ? 'dashed' : '', own.thin ? 'thin' : ''].join(' ').trim();
}

function mark(own, x, y) {
  return el('path', {
    d: MARKERS[own.marker](4.5), transform: `translate(${x} ${y})`,
    class: own.hollow ? 'mark hollow' : 'mark',
  });
}

function drawn(what, width) {
  const height = what.height || Math.max(220, Math.min(what.isLarge ? 480 : 380, width * 0.6));
  const box = { left: 58, right: width - 14, top: 12, bottom: height - 44 };
  const place = (axis, from, to) => {
    const scale = SCALES[axis.scale || 'linear'];
    const [low, high] = axis.domain.map(scale);
    return (value) => from + (scale(value) - low) / (high - low) * (to - from);
  };
  const x = place(what.x, box.left, box.right);
  const y = place(what.y, box.bottom, box.top);
  const root = el('svg', {
    viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': what.title,
  });
  root.append(axes(what, box, x, y));
  const inside = el('g');
  for (const band of what.bands || []) {
    const there = band.map((p) => `${x(p.x)},${y(p.high)}`);
    const back = band.map((p) => `${x(p.x)},${y(p.low)}`).reverse();
    inside.append(el('polygon', { class: 'band', points: [...there, ...back].join(' ') }));
  }
  const taken = what.series.flatMap((own) => own.points
    .filter((p) => p.tip).map((p) => ({ x: x(p.x), y: y(p.y), half: 5 })));
  const labels = el('g', { class: 'labels' });
  for (const own of what.series) {
    inside.append(series(own, x, y, box));
    for (const p of own.points) {
      if (p.text) write(labels, p.text, x(p.x), y(p.y), taken, box);
    }
  }
  root.append(inside, labels);
  return root;
}

function axes(what, box, x, y) {
  const group = el('g', { class: 'axes' });
  const [low, high] = what.x.domain;
  const across = what.x.ticks
    || (what.x.scale === 'root' ? rootTicks(high, (box.right - box.left) / 55) : ticksOf(low, high, (box.right - box.left) / 70))
      .map((tick) => [tick, number(tick)]);
  for (const [tick, text] of across) {
    group.append(
      el('line', { x1: x(tick), x2: x(tick), y1: box.top, y2: box.bottom }),
      el('text', { x: x(tick), y: box.bottom + 16, 'text-anchor': 'middle' }, text));
  }
  for (const tick of ticksOf(...what.y.domain, 6)) {
    group.append(
      el('line', { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }),
      el('text', { x: box.left - 7, y: y(tick) + 4, 'text-anchor': 'end' }, number(tick)));
  }
  group.append(
    el('text', { x: (box.left + box.right) / 2, y: box.bottom + 36, 'text-anchor': 'middle', class: 'name' }, what.x.label),
    el('text', { transform: `translate(13 ${(box.top + box.bottom) / 2}) rotate(-90)`, 'text-anchor': 'middle', class: 'name' }, what.y.label));
  return group;
}

function series(own, x, y, box) {
  const group = el('g', { class: classOf(own) });
  if (own.bars) {
    for (const p of own.points) {
      group.append(explain(el('rect', {
        class: 'bar', x: x(p.x) + 1, width: Math.max(1, x(p.x + own.bars) - x(p.x) - 2),
        y: y(p.y), height: Math.max(0, box.bottom - y(p.y)),
      }), p.tip));
    }
    return group;
  }
  if (own.points.length > 1) {
    group.append(el('polyline', { class: 'line', points: own.points.map((p) => `${x(p.x)},${y(p.y)}`).join(' ') }));
  }
  for (const p of own.points) {
    if (p.low !== undefined) {
      const cap = (end) => el('line', { class: 'whisker', x1: x(p.x) - 3, x2: x(p.x) + 3, y1: y(end), y2: y(end) });
      group.append(el('line', { class: 'whisker', x1: x(p.x), x2: x(p.x), y1: y(p.low), y2: y(p.high) }), cap(p.low), cap(p.high));
    }
  }
  for (const p of own.points) {
    if (!p.tip) continue;
    const node = el('g', { class: 'point' },
      el('circle', { cx: x(p.x), cy: y(p.y), r: 10, class: p.ring ? 'ring' : 'reach' }),
      own.marker === undefined ? null : mark(own, x(p.x), y(p.y)));
    group.append(explain(node, p.tip));
  }
  return group;
}

// Puts a label at the first free place around its point, or leaves it out.
function write(group, text, x, y, taken, box) {
  const half = 3.3 * text.length + 2;
  for (const [dx, dy] of [[0, -16], [0, 20], [half + 8, -11], [-half - 8, -11], [half + 8, 15], [-half - 8, 15], [half + 12, 2], [-half - 12, 2], [0, -32], [0, 34]]) {
    const at = { x: x + dx, y: y + dy };
    const isFree = taken.every((other) =>
      Math.abs(other.x - at.x) > half + other.half || Math.abs(other.y - at.y) > 12);
    if (isFree && at.x - half > box.left && at.x + half < box.right && at.y > box.top + 4 && at.y < box.bottom) {
      taken.push({ ...at, half });
      group.append(el('text', { x: at.x, y: at.y + 4, 'text-anchor': 'middle' }, text));
      return;
    }
  }
}

// The range of numbers with some room around.
function around(values, share = 0.08) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = Math.max((high - low) * share, 0.005 * Math.max(Math.abs(low), Math.abs(high)), 1e-6);
  return [low - room, high + room];
}
