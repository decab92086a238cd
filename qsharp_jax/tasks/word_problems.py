"""Seeded word problems, in GSM8K's format, that a tiny model can learn.

A problem is three or four additions and subtractions, told in order, from a
closed vocabulary of 60 words; every number stays within a small range.
"""

import dataclasses
import random
from collections.abc import Collection

from qsharp_jax.core.errors import InputError
from qsharp_jax.data.sources import Question

NAMES = (
  ("Ann", "she"),
  ("Ben", "he"),
  ("Carl", "he"),
  ("Dora", "she"),
  ("Eva", "she"),
  ("Finn", "he"),
  ("Gina", "she"),
  ("Hugo", "he"),
  ("Ivy", "she"),
  ("Jack", "he"),
  ("Kate", "she"),
  ("Leo", "he"),
)
OBJECTS = (
  "balls",
  "beads",
  "books",
  "cards",
  "coins",
  "cups",
  "dolls",
  "keys",
  "pens",
  "shells",
  "stamps",
  "toys",
)
GAINS = ("buys {}", "finds {}", "gets {}", "wins {}", "picks up {}")
LOSSES = ("sells {}", "loses {}", "breaks {}", "drops {}", "gives away {}")
OPENINGS = (
  "{name} has {start} {things}.",
  "{name} starts with {start} {things}.",
  "{name} keeps {start} {things} in a box.",
  "In the morning {name} has {start} {things}.",
)
CLOSINGS = (
  "How many {things} does {name} have?",
  "How many {things} does {pronoun} have now?",
  "How many {things} does {name} have in the end?",
  "How many {things} are left?",
)
# Repeats in a row after which a family counts as used up.
_PATIENCE = 10_000


@dataclasses.dataclass(frozen=True)
class WordProblems:
  """A family of word problems.

  Attributes:
    num_steps: fewest and most operations of a problem, both >= 1.
    max_value: every number of a problem and of its answer is an integer in
      0..max_value, mistakes included; >= 4.
    max_amount: the largest number added or taken away in one step, >= 1.
  """

  num_steps: tuple[int, int] = (3, 4)
  max_value: int = 20
  max_amount: int = 9

  def __post_init__(self):
    fewest, most = self.num_steps
    if not 1 <= fewest <= most:
      raise InputError(
        f"num_steps is {self.num_steps}, expected 1 <= fewest <= most"
      )
    if self.max_value < 4 or self.max_amount < 1:
      raise InputError(
        f"max_value is {self.max_value} and max_amount {self.max_amount}, "
        "expected at least 4 and 1"
      )

  def generate(
    self,
    num: int,
    *,
    seed: int,
    exclude: Collection[str] = frozenset(),
    mistake_rate: float = 0.0,
  ) -> list[Question]:
    """Draws distinct problems with worked answers.

    The questions depend on the seed alone: another mistake rate changes only
    the answers.

    Args:
      num: how many.
      seed: same seed, same problems.
      exclude: question texts never to repeat (a set, for speed).
      mistake_rate: chance that a worked step's result is one or two too large,
        if there is room for it; the later steps go on from that result, and no
        later mistake makes up for it. 0 gives gold answers.

    Returns:
      The problems. The answer holds one worked step a line, such as
      "7+5=12", then "#### 12".

    Raises:
      InputError: a rate outside 0..1, or fewer than `num` problems to be found.
    """
    if not 0.0 <= mistake_rate <= 1.0:
      raise InputError(f"mistake_rate is {mistake_rate}, expected 0..1")
    # Two streams: the questions must not depend on the mistakes.
    telling = random.Random(f"questions-{seed}")
    working = random.Random(f"mistakes-{seed}")
    told, questions, misses = set(), [], 0
    while len(questions) < num:
      values = self._trajectory(telling)
      text = _tell(values, telling)
      if text in told or text in exclude:
        misses += 1
        if misses > _PATIENCE:
          raise InputError(
            f"found {len(questions)} new problems of {num}; ask for fewer or "
            "allow more steps"
          )
        continue
      misses = 0
      told.add(text)
      answer = self._work(values, working, mistake_rate)
      id_ = f"words-{seed}-{len(questions) + 1}"
      questions.append(Question(id_, text, answer))
    return questions

  def _trajectory(self, rng: random.Random) -> list[int]:
    """The amount at the start and after each operation."""
    while True:
      # Plural objects: a story never starts with one of them.
      values = [rng.randint(2, self.max_value)]
      for _ in range(rng.randint(*self.num_steps)):
        # The sign comes first, so that both are about equally frequent.
        sign = rng.choice((-1, 1))
        room = values[-1] if sign < 0 else self.max_value - values[-1]
        if not room:
          sign, room = -sign, self.max_value
        change = rng.randint(1, min(room, self.max_amount))
        values.append(values[-1] + sign * change)
      # Leaves room to shift any rest of the story by one, so that a mistake is
      # possible at every step.
      if max(values) - min(values) < self.max_value:
        return values

  def _work(
    self, values: list[int], rng: random.Random, mistake_rate: float
  ) -> str:
    """The worked answer; `values` is the true trajectory."""
    lines, current = [], values[0]
    for step in range(1, len(values)):
      change = values[step] - values[step - 1]
      result = current + change
      if rng.random() < mistake_rate:
        shift = result - values[step]  # earlier mistakes, carried on
        room = self.max_value - max(values[step:]) - shift
        result += rng.randint(min(1, room), min(2, room))
      sign = "+" if change > 0 else "-"
      lines.append(f"{current}{sign}{abs(change)}={result}")
      current = result
    return "\n".join([*lines, f"#### {current}"])


def _tell(values: list[int], rng: random.Random) -> str:
  """The story of a trajectory, its operations in order."""
  name, pronoun = rng.choice(NAMES)
  words = {
    "name": name,
    "pronoun": pronoun,
    "things": rng.choice(OBJECTS),
    "start": values[0],
  }
  clauses = []
  for before, after in zip(values, values[1:], strict=False):
    verbs = GAINS if after > before else LOSSES
    clauses.append(rng.choice(verbs).format(abs(after - before)))
  shape = rng.choice((_one_sentence, _two_sentences, _short_sentences))
  return " ".join(
    [
      rng.choice(OPENINGS).format(**words),
      shape(clauses, pronoun.capitalize()),
      rng.choice(CLOSINGS).format(**words),
    ]
  )


def _listed(clauses: list[str]) -> str:
  if len(clauses) == 1:
    return clauses[0]
  return f"{', '.join(clauses[:-1])} and {clauses[-1]}"


def _one_sentence(clauses: list[str], pronoun: str) -> str:
  return f"{pronoun} {_listed(clauses)}."


def _two_sentences(clauses: list[str], pronoun: str) -> str:
  half = (len(clauses) + 1) // 2
  if half == len(clauses):
    return _one_sentence(clauses, pronoun)
  return (
    f"{pronoun} {_listed(clauses[:half])}. "
    f"Then {pronoun.lower()} {_listed(clauses[half:])}."
  )


def _short_sentences(clauses: list[str], pronoun: str) -> str:
  return " ".join(f"{pronoun} {clause}." for clause in clauses)
