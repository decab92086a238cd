"""Star graphs G(d, l): find the path from the centre to one arm's end.

d arms leave a centre, the start; an arm has l nodes, the centre counted, and
arms share nothing else. Which arm leads to the goal shows at its far end only,
so a model that looks one step ahead picks the first node at random.

The text form is `a,b|c,d|…/start,goal=n1,n2,…,nl` (`star_graph_text`). An
answer earns 1 if the path is right as a whole (`rewards.graders.path`), else 0.

Source: Bachmann and Nagarajan, arXiv 2403.06963; arXiv 2502.20548, section 4.1.
"""

import dataclasses
import itertools
import pathlib
import random
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from qsharp_jax import data
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.records import Question
from qsharp_jax.tasks import base
from qsharp_jax.tasks import star_graph_text as text_lib
from qsharp_jax.tasks.star_graph_text import StarGraph

# Repeats in a row after which a family counts as used up.
_PATIENCE = 1_000


@dataclasses.dataclass(frozen=True)
class StarGraphs(base.TaskSpec):
  """Star graphs of one size, drawn or out of files.

  Attributes:
    degree: arms, d.
    path_length: nodes of an arm, l, the centre counted.
    num_nodes: labels are 0 .. num_nodes - 1; each is a token.
    num_train: graphs to learn from, validation included.
    num_test: graphs to test on.
    num_corpus: graphs that a small reference learns from.
    mistake_rate: share of those answered by the path of a wrong arm.
    max_new_tokens: room for a path and the end token.
    max_length: room for a graph, its path and the end token, in tokens.
    path: a directory with pretrain.txt, train.txt and test.txt, or one file,
      whose lines are cut into the three in the proportions of the three
      numbers; "" draws the graphs.
    signs: words of the vocabulary besides the nodes and `=`.
    seed: same seed, same graphs.
  """

  degree: int
  path_length: int
  num_nodes: int
  num_train: int
  num_test: int
  num_corpus: int
  mistake_rate: float
  max_new_tokens: int
  max_length: int
  path: str = ""
  signs: tuple[str, ...] = ()
  seed: int = 0

  def questions(self) -> dict[str, list[Question]]:
    """See `TaskSpec`."""
    graphs = self.graphs()
    return {
      name: as_questions(graphs[name], name) for name in ("train", "test")
    }

  def corpus(
    self, directory: pathlib.Path
  ) -> tuple[list[Question], data.Tokenizer]:
    """Graphs of their own, and a tokenizer with a token a node."""
    nodes = map(str, range(self.num_nodes))
    tokenizer = data.new_tokenizers.word_level(
      ["=", *nodes, *self.signs], directory=directory
    )
    graphs = with_mistakes(
      self.graphs()["pretrain"], mistake_rate=self.mistake_rate, seed=self.seed
    )
    return as_questions(graphs, "pretrain"), tokenizer

  def files(self) -> list[places.Path]:
    """See `TaskSpec`."""
    path = places.path(self.path)
    if not self.path or not path.exists():
      return []
    return sorted(path.glob("*.txt")) if path.is_dir() else [path]

  def columns(
    self, extracted: Sequence[str | None], answers: Sequence[str]
  ) -> dict[str, list[float]]:
    """Where along the path answers go wrong; none if no path was found."""
    if not any(extracted):
      return {}
    shares = per_position(extracted, answers)
    return {"per_position": [round(float(share), 4) for share in shares]}

  def graphs(self) -> dict[str, list[StarGraph]]:
    """The graphs of "test", "train" and "pretrain".

    Raises:
      InputError: sizes that cannot be, or a file that is wrong.
    """
    nums = {
      "test": self.num_test,
      "train": self.num_train,
      "pretrain": self.num_corpus,
    }
    path = places.path(self.path)
    if self.path and path.is_dir():
      found = {name: text_lib.load(path / f"{name}.txt") for name in nums}
    elif self.path:
      found = _in_proportion(text_lib.load(path), nums)
    else:
      drawn = generate(
        sum(nums.values()),
        degree=self.degree,
        path_length=self.path_length,
        num_nodes=self.num_nodes,
        seed=self.seed,
      )
      found = _in_proportion(drawn, nums)
    self._check_room([graph for part in found.values() for graph in part])
    # Foreign files, too, must not be tested on what they train on.
    tested = set(map(text_lib.question, found["test"]))
    return found | {
      name: [
        graph for graph in found[name] if text_lib.question(graph) not in tested
      ]
      for name in ("train", "pretrain")
    }

  def _check_room(self, graphs: Sequence[StarGraph]) -> None:
    """Labels must be in the vocabulary, paths and graphs in their rows."""
    path = max(len(graph.path) for graph in graphs)
    needed = {
      "num_nodes": 1 + max(max(edge) for g in graphs for edge in g.edges),
      "max_new_tokens": path + 1,
      # Two tokens an edge; start, goal, `=` and the end are the rest.
      "max_length": 4 + path + max(2 * len(graph.edges) for graph in graphs),
    }
    for name, least in needed.items():
      if getattr(self, name) < least:
        raise InputError(
          f"{name} is {getattr(self, name)}; expected at least {least} for "
          "these graphs"
        )


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
    exclude: texts of questions never to repeat; a set, for speed.

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
    text = text_lib.question(graph)
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
      wrong = [arm for arm in text_lib.arms(graph) if arm[-1] != graph.goal]
      graph = dataclasses.replace(graph, path=rng.choice(wrong))
    found.append(graph)
  return found


def as_questions(graphs: Sequence[StarGraph], name: str) -> list[Question]:
  """The graphs as questions for a model; ids are `<name>-<number>`, from 1."""
  return [
    Question(
      f"{name}-{number}", text_lib.question(graph), text_lib.answer(graph)
    )
    for number, graph in enumerate(graphs, start=1)
  ]


def per_position(
  extracted: Sequence[str | None], answers: Sequence[str]
) -> np.ndarray:
  """Share of samples with the right node, for each place along the path.

  A place beyond a sample's end counts as wrong, and so does every place of a
  sample that is no path at all. Nodes beyond the answer's end do not count
  here: a path that is right as a whole has none.

  Args:
    extracted: paths as node numbers joined by commas, None for no path.
    answers: the right paths, in the same form, as many.

  Returns:
    Accuracies, one for each place of the longest answer; places that an answer
    does not have are left out of its mean. Shape [longest], float64.

  Raises:
    ValueError: lists of different lengths, or none.
  """
  if len(extracted) != len(answers) or not answers:
    raise ValueError(
      f"got {len(extracted)} paths and {len(answers)} answers, expected as "
      "many, and some"
    )
  longest = max(answer.count(",") + 1 for answer in answers)
  hits = np.zeros((len(answers), longest))
  exists = np.zeros((len(answers), longest), bool)
  for row, (path, answer) in enumerate(zip(extracted, answers, strict=True)):
    gold = answer.split(",")
    found = [] if path is None else path.split(",")
    exists[row, : len(gold)] = True
    for place, (got, expected) in enumerate(zip(found, gold, strict=False)):
      hits[row, place] = got == expected
  return hits.sum(axis=0) / exists.sum(axis=0)


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


def _in_proportion(
  graphs: Sequence[StarGraph], nums: Mapping[str, int]
) -> dict[str, list[StarGraph]]:
  """Consecutive parts, in the proportions of `nums`."""
  parts, start, so_far = {}, 0, 0
  for name, num in nums.items():
    so_far += num
    end = round(len(graphs) * so_far / sum(nums.values()))
    parts[name], start = list(graphs[start:end]), end
  return parts
