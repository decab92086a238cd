// Tables whose columns sort.

// A cell is {value, text, detail, strong}; `value` is what is compared.
function cellOf(entry, write = number) {
  const [value, ends, strong] = entry || [null, null, false];
  const isWhole = ends && ends[0] !== null;
  return {
    value, text: write(value), strong,
    detail: isWhole ? `[${write(ends[0])}, ${write(ends[1])}]` : '',
  };
}

// How a column writes its numbers: with three decimals throughout, so that
// they stand under one another, unless that would be too few or too many.
function writerOf(entries) {
  const numbers = entries.map((entry) => (entry ? entry[0] : null))
    .filter((value) => typeof value === 'number' && Math.abs(value) >= 1e-6);
  const sizes = numbers.map(Math.abs);
  const isFraction = numbers.some((value) => !Number.isInteger(value));
  if (!isFraction || Math.min(...sizes) < 0.01 || Math.max(...sizes) >= 100) return number;
  return (value) => (typeof value === 'number' ? value.toFixed(3) : number(value));
}

// Cells of some columns of the report's rows; `keys` say which row it is.
function cellsOf(data, keys, names) {
  const writers = names.map((name) => writerOf(data.rows.map((row) => row[name])));
  return data.rows.map((row) => [
    ...keys.map((name) => {
      const found = cellOf(row[name]);
      return name === 'method' ? { ...found, text: labelOf(data, found.value) } : found;
    }),
    ...names.map((name, i) => cellOf(row[name], writers[i])),
  ]);
}

function columnsOf(data, names) {
  return names.map((name) => ({ name, title: data.definitions[name] }));
}

function compare(one, other) {
  if (typeof one === 'number' && typeof other === 'number') return one - other;
  return String(one).localeCompare(String(other), 'en', { numeric: true });
}

// Absent values stay last in both directions.
function sorted(rows, column, direction) {
  const isAbsent = (row) => row[column].value === null;
  return [
    ...rows.filter((row) => !isAbsent(row)).sort((a, b) =>
      direction * compare(a[column].value, b[column].value)),
    ...rows.filter(isAbsent),
  ];
}

// Columns are {name, title}; rows are lists of cells. A click on a heading
// sorts by it, numbers downwards first; a third click restores the order.
function sortable(columns, rows, caption) {
  const body = el('tbody');
  const isNumeric = columns.map((_, i) =>
    rows.every(([...row]) => row[i].value === null || typeof row[i].value === 'number'));
  let state = { column: -1, direction: 0 };
  const heads = columns.map((column, i) => el('th', {
    scope: 'col', title: column.title, class: isNumeric[i] ? 'number' : null,
  }, el('button', { type: 'button', click: () => sort(i) }, column.name)));

  function sort(column) {
    const first = isNumeric[column] ? -1 : 1;
    const turns = [first, -first, 0];
    const turn = state.column === column ? turns.indexOf(state.direction) : 2;
    state = { column, direction: turns[(turn + 1) % 3] };
    draw();
  }

  function draw() {
    const { column, direction } = state;
    heads.forEach((head, i) => {
      const own = i === column ? direction : 0;
      head.setAttribute('aria-sort',
        own ? (own > 0 ? 'ascending' : 'descending') : 'none');
    });
    const shown = direction ? sorted(rows, column, direction) : rows;
    body.replaceChildren(...shown.map((row) => el('tr', {},
      row.map((cell, i) => el('td', { class: isNumeric[i] ? 'number' : null },
        el(cell.strong ? 'strong' : 'span', {}, cell.text),
        cell.detail ? el('small', {}, ` ${cell.detail}`) : null)))));
  }

  draw();
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, heads)), body));
}
