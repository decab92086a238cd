// Puts the page together: a section for every part that the data has.

const SECTIONS = [
  ['results', 'Results', (data) => data.rows && data.rows.length && results(data)],
  ['front', 'Reward and KL', (data) => data.points && front(data)],
  ['answers', 'Answers', (data) => data.answers && answers(data)],
  ['tokens', 'Tokens', (data) => data.tokens && tokens(data)],
  ['calibration', 'Calibration', (data) => data.values && calibration(data)],
  ['curves', 'Learning curves', (data) => data.curves && data.curves.length && curves(data)],
  ['cost', 'Cost', (data) => data.seconds && cost(data)],
  ['about', 'About', (data) => data.versions && about(data)],
];

function themes(button) {
  const root = document.documentElement;
  const wanted = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : wanted.matches);
  const name = () => { button.textContent = isDark() ? 'Light' : 'Dark'; };
  button.title = 'Light or dark page';
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    name();
  });
  wanted.addEventListener('change', name);
  name();
}

function start() {
  const data = JSON.parse(document.getElementById('data').textContent);
  const main = document.querySelector('main');
  const nav = document.querySelector('nav');
  main.replaceChildren();
  for (const [id, title, make] of SECTIONS) {
    const content = make(data);
    if (!content) continue;
    nav.append(el('a', { href: `#${id}` }, title));
    main.append(el('section', { id }, el('h2', {}, title), ...content.filter((node) => node)));
  }
  themes(document.getElementById('theme'));
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') tip.hide(); });
}

start();
