'use strict';

// Elements, numbers and the one tooltip. Text becomes text nodes, never markup.

const SVG = new Set(['svg', 'g', 'path', 'line', 'text', 'rect', 'polyline',
  'polygon', 'circle']);

// Makes an element. Attributes that are functions listen to the event of their
// name; those that are null or false are left out.
function el(tag, attributes = {}, ...children) {
  const node = SVG.has(tag)
    ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? '' : value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

// A number in four significant digits, as report.md has it.
function number(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value !== 'number') return String(value);
  if (Math.abs(value) < 1e-6) return '0';
  return Math.abs(value) < 1000
    ? String(Number(value.toPrecision(4)))
    : String(Math.round(value));
}

function interval(ends) {
  return ends && ends[0] !== null ? `[${number(ends[0])}, ${number(ends[1])}]` : '';
}

// The same as a length of CSS.
function width(share) {
  return `${(100 * share).toFixed(2)}%`;
}

function percent(value) {
  if (value > 0 && value < 0.0005) return '<0.1 %';
  return `${(100 * value).toFixed(1)} %`;
}

const tip = {
  get node() { return document.getElementById('tip'); },
  show(target, lines) {
    this.node.replaceChildren(...lines.map((line, i) =>
      el(i ? 'div' : 'strong', {}, line)));
    this.node.hidden = false;
    const at = target.getBoundingClientRect();
    const own = this.node.getBoundingClientRect();
    const right = document.documentElement.clientWidth - own.width - 8;
    const left = Math.max(8, Math.min(at.right + 8, right));
    const above = at.top - own.height - 8;
    this.node.style.left = `${left + window.scrollX}px`;
    this.node.style.top =
      `${(above > 8 ? above : at.bottom + 8) + window.scrollY}px`;
  },
  hide() { this.node.hidden = true; },
};

// Shows lines of text while the mouse or the keyboard is at an element.
function explain(node, lines) {
  const show = () => tip.show(node, lines);
  node.setAttribute('tabindex', '0');
  node.setAttribute('role', 'img');
  node.setAttribute('aria-label', lines.join(', '));
  node.addEventListener('pointerenter', show);
  node.addEventListener('focus', show);
  node.addEventListener('pointerleave', () => tip.hide());
  node.addEventListener('blur', () => tip.hide());
  return node;
}

// A labelled choice; `options` are [value, label] pairs.
function choice(label, options, onChange) {
  const select = el('select', { change: () => onChange(select.value) },
    options.map(([value, text]) => el('option', { value }, text)));
  return el('label', {}, label, ' ', select);
}
