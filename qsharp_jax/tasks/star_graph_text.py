"""Star graphs as text: written, read, solved and checked.

A line is `a,b|c,d|…/start,goal=n1,n2,…,nl`: edges in any order, then the
question, then the path.
"""

import dataclasses
import os
import re
from collections.abc import Sequence

from qsharp_jax.core import errors, places
from qsharp_jax.core.errors import InputError

Edge = tuple[int, int]
_NODE = re.compile(r"0|[1-9][0-9]{0,8}")
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
    raise InputError(
      f"got {errors.short(text, 80)}, expected {_FORM}; fix the line"
    )
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


def load(path: str | os.PathLike) -> list[StarGraph]:
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


def lines(path: str | os.PathLike) -> list[tuple[str, str]]:
  """The lines of a file that are not blank, each with its FILE:NUMBER.

  Raises:
    InputError: no such file, or not text.
  """
  path = places.path(path)
  try:
    text = path.read_bytes().decode("utf-8-sig")
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


def _neighbours(edges: Sequence[Edge]) -> dict[int, list[int]]:
  """Undirected; a loop or an edge listed twice is no part of a star."""
  if len({frozenset(edge) for edge in edges}) < len(edges):
    raise InputError("an edge is listed twice; expected each edge once")
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
      f"got {errors.short(context, 80)}, expected {wanted} separated by "
      f"commas, as in {_FORM}; fix the line"
    )
  return tuple(map(int, words))
