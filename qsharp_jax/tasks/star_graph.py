"""Star graphs G(d, l): find the path from the centre to one arm's end.

d arms leave a centre, the start; an arm has l nodes, the centre counted, and
arms share nothing else. Which arm leads to the goal shows at its far end only,
so a model that looks one step ahead picks the first node at random.

The text form is `a,b|c,d|…/start,goal=n1,n2,…,nl`: edges in any order, then
the question, then the path.

Source: Bachmann and Nagarajan, arXiv 2403.06963; arXiv 2502.20548, section 4.1.
"""

import dataclasses
import itertools
import pathlib
import random
import re
from collections.abc import Collection, Sequence

from qsharp_jax.core.errors import InputError
from qsharp_jax.data.sources import Question

Edge = tuple[int, int]
# Repeats in a row after which a family counts as used up.
_PATIENCE = 1_000
_NODE = re.compile(r"0|[1-9][0-9]*")
_FORM = "a,b|c,d|…/start,goal=n1,n2,…"


@dataclasses.dataclass(frozen=True)
class StarGraph:
  """One question, and the answer as it was given.

  Attributes:
    edges: pairs of node labels, in the order of the text.
    start: the centre.
    goal: the end of an arm.
    path: from start to goal, both included.
  """

  edges: tuple[Edge, ...]
  start: int
  goal: int
  path: tuple[int, ...]


def generate(
  num: int,
  *,
  degree: int,
  path_length: int,
  num_nodes: int,
  seed: int,
  exclude: Collection[str] = frozenset(),
) -> list[StarGraph]:
  """Draws distinct graphs.

  Args:
    num: how many.
    degree: arms, d.
    path_length: nodes of an arm, l, the centre counted.
    num_nodes: labels are drawn from 0 .. num_nodes - 1.
    seed: same seed, same graphs.
    exclude: questions (see `question`) never to repeat; a set, for speed.

  Returns:
    The graphs, edges shuffled and pointing away from the centre.

  Raises:
    InputError: a size out of range, or fewer than `num` graphs to be found.
  """
  size = 1 + degree * (path_length - 1)
  if degree < 2 or path_length < 2 or size > num_nodes:
    raise InputError(
      f"degree {degree}, path_length {path_length} and num_nodes {num_nodes}: "
      f"expected at least 2, 2 and {max(size, 3)}, a label for every node"
    )
  rng = random.Random(f"stars-{seed}")
  labels, told, graphs, misses = range(num_nodes), set(), [], 0
  while len(graphs) < num:
    graph = _draw(rng, rng.sample(labels, size), path_length)
    text = question(graph)
    if text in told or text in exclude:
      misses += 1
      if misses > _PATIENCE:
        raise InputError(
          f"found {len(graphs)} new graphs of {num}; ask for fewer or allow "
          "more nodes"
        )
      continue
    misses = 0
    told.add(text)
    graphs.append(graph)
  return graphs


def _draw(
  rng: random.Random, nodes: Sequence[int], path_length: int
) -> StarGraph:
  """A graph of the given nodes, the centre first."""
  start, *rest = nodes
  step = path_length - 1
  arms = [(start, *rest[i : i + step]) for i in range(0, len(rest), step)]
  edges = [edge for arm in arms for edge in itertools.pairwise(arm)]
  rng.shuffle(edges)
  path = rng.choice(arms)
  return StarGraph(tuple(edges), start, path[-1], path)


def question(graph: StarGraph) -> str:
  """The text up to and including the equals sign."""
  edges = "|".join(f"{a},{b}" for a, b in graph.edges)
  return f"{edges}/{graph.start},{graph.goal}="


def answer(graph: StarGraph) -> str:
  """The text after the equals sign: the path."""
  return ",".join(map(str, graph.path))


def format(graph: StarGraph) -> str:
  """The text form, one line."""
  return question(graph) + answer(graph)


def parse(text: str) -> StarGraph:
  """Reads one line of the text form; whether it is a star is `solve`'s matter.

  Raises:
    InputError: not of that form.
  """
  body, equals, path = text.strip().partition("=")
  edges, slash, ends = body.partition("/")
  if not (equals and slash):
    raise InputError(f"got {_cut(text)!r}, expected {_FORM}; fix the line")
  pairs = [_numbers(edge, edge, 2) for edge in edges.split("|")]
  start, goal = _numbers(ends, "/" + ends, 2)
  return StarGraph(
    tuple((a, b) for a, b in pairs), start, goal, _numbers(path, "=" + path)
  )


def solve(graph: StarGraph) -> tuple[int, ...]:
  """The path from start to goal, out of the edges alone.

  Edges are read in either direction: in a star only one of them leads away
  from the centre, so the direction carries nothing.

  Raises:
    InputError: the edges are no star around `start`, or `goal` is no arm's end.
  """
  ends = {arm[-1]: arm for arm in arms(graph)}
  if graph.goal not in ends:
    raise InputError(
      f"the goal {graph.goal} is no arm's end; expected one of "
      f"{', '.join(map(str, sorted(ends)))}"
    )
  return ends[graph.goal]


def arms(graph: StarGraph) -> list[tuple[int, ...]]:
  """All paths from the centre to an arm's end.

  Raises:
    InputError: the edges are no star around `start`.
  """
  neighbours = _neighbours(graph.edges)
  start = graph.start
  if len(neighbours.get(start, ())) < 2:
    raise InputError(
      f"the start {start} has {len(neighbours.get(start, ()))} edges; expected "
      "the centre of a star, with at least 2"
    )
  found = [_arm(neighbours, start, first) for first in neighbours[start]]
  lengths = sorted({len(arm) for arm in found})
  if len(lengths) > 1:
    raise InputError(
      f"arms of {lengths[0]} and of {lengths[-1]} nodes, the centre counted; "
      "expected all of one length"
    )
  if sum(len(arm) - 1 for arm in found) != len(graph.edges):
    raise InputError(
      f"{len(graph.edges)} edges, not all of them reached from the start "
      f"{start}; expected one star"
    )
  return found


def with_mistakes(
  graphs: Sequence[StarGraph], *, mistake_rate: float, seed: int
) -> list[StarGraph]:
  """The same questions, some of them answered by the path of a wrong arm.

  Args:
    graphs: with right answers.
    mistake_rate: chance that an answer goes to the end of another arm.
    seed: same seed, same mistakes.

  Raises:
    InputError: a rate outside 0..1.
  """
  if not 0.0 <= mistake_rate <= 1.0:
    raise InputError(f"mistake_rate is {mistake_rate}, expected 0..1")
  rng = random.Random(f"mistakes-{seed}")
  found = []
  for graph in graphs:
    if rng.random() < mistake_rate:
      wrong = [arm for arm in arms(graph) if arm[-1] != graph.goal]
      graph = dataclasses.replace(graph, path=rng.choice(wrong))
    found.append(graph)
  return found


def check(graph: StarGraph) -> None:
  """Makes sure that the graph is a star and that its answer is right.

  Raises:
    InputError: says what was got and expected.
  """
  path = solve(graph)
  if graph.path != path:
    raise InputError(
      f"the answer is {answer(graph)}, expected "
      f"{','.join(map(str, path))}; fix the line"
    )


def load(path: str | pathlib.Path) -> list[StarGraph]:
  """Reads a file of graphs, one a line; blank lines are skipped.

  Raises:
    InputError: no such file, not text, no graph in it, or a line that is not a
      star with its right answer; the line is named.
  """
  graphs = []
  for place, line in lines(path):
    try:
      graph = parse(line)
      check(graph)
    except InputError as error:
      raise InputError(f"{place}: {error}") from error
    graphs.append(graph)
  if not graphs:
    raise InputError(f"{path}: no graph in it; expected lines {_FORM}")
  return graphs


def lines(path: str | pathlib.Path) -> list[tuple[str, str]]:
  """The lines of a file that are not blank, each with its FILE:NUMBER.

  Raises:
    InputError: no such file, or not text.
  """
  path = pathlib.Path(path)
  try:
    text = path.read_text(encoding="utf-8")
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, "strerror", None) or "not UTF-8"
    raise InputError(
      f"{path}: cannot be read ({reason}); expected a file of lines {_FORM}"
    ) from error
  return [
    (f"{path}:{number}", line)
    for number, line in enumerate(text.splitlines(), start=1)
    if line.strip()
  ]


def as_questions(graphs: Sequence[StarGraph], name: str) -> list[Question]:
  """The graphs as questions for a model; ids are `<name>-<number>`, from 1."""
  return [
    Question(f"{name}-{number}", question(graph), answer(graph))
    for number, graph in enumerate(graphs, start=1)
  ]


def _neighbours(edges: Sequence[Edge]) -> dict[int, list[int]]:
  """Undirected; a loop or an edge told twice is no part of a star."""
  if len({frozenset(edge) for edge in edges}) < len(edges):
    raise InputError("an edge is told twice; expected each edge once")
  neighbours: dict[int, list[int]] = {}
  for a, b in edges:
    if a == b:
      raise InputError(f"the edge {a},{b} is a loop; expected two nodes")
    neighbours.setdefault(a, []).append(b)
    neighbours.setdefault(b, []).append(a)
  return neighbours


def _arm(
  neighbours: dict[int, list[int]], start: int, first: int
) -> tuple[int, ...]:
  """The nodes from the centre to the end of the arm that `first` begins."""
  arm = [start, first]
  while len(onward := neighbours[arm[-1]]) == 2:
    arm.append(onward[0] if onward[1] == arm[-2] else onward[1])
    if arm[-1] == start:
      raise InputError(
        f"a circle through the start {start} and {first}; expected arms that "
        "end"
      )
  if len(onward) > 2:
    raise InputError(
      f"the node {arm[-1]} has {len(onward)} edges; expected at most 2 "
      f"everywhere but at the start {start}"
    )
  return tuple(arm)


def _numbers(
  text: str, context: str, count: int | None = None
) -> tuple[int, ...]:
  """Node labels separated by commas."""
  words = [word.strip() for word in text.split(",")]
  is_good = all(_NODE.fullmatch(word) for word in words)
  if not is_good or count not in (None, len(words)):
    wanted = "node numbers" if count is None else f"{count} node numbers"
    raise InputError(
      f"got {_cut(context)!r}, expected {wanted} separated by commas, as in "
      f"{_FORM}; fix the line"
    )
  return tuple(map(int, words))


def _cut(text: str) -> str:
  return text if len(text) <= 60 else text[:60] + "…"
