"""Small talk about animals, with two planted rewards that partly conflict.

An answer states what an animal does. What animals do helps, risky things most,
and what only people do harms; the second reward minds risk and length, and
likes a kind word at the end. So the two agree on what is wrong or said twice,
and disagree on what is risky. `In depth:` opens a gamble: twice as many
statements, of which half are wrong.

The rewards are sums over statements, in units of which a KL weight of 0.1 is
usual. `helpful` and `harmless` are rewards by path (`qsharp_jax.tasks.chat:…`).
"""

import dataclasses
import functools
import math
import pathlib
import random
import re
from collections.abc import Callable, Iterator

from qsharp_jax import data
from qsharp_jax.data import conversations
from qsharp_jax.data.preferences import Preference
from qsharp_jax.data.records import Question
from qsharp_jax.tasks import base

STOP = conversations.HUMAN
_SAFE = (
  *("nap", "climb", "dig", "sing", "swim", "run", "play", "hop", "graze"),
  *("splash", "nest", "hide"),
)
_RISKY = ("bite", "scratch", "kick", "sting", "charge", "peck")
_SILLY = ("read", "drive", "cook", "knit", "vote", "paint", "type", "dance")
_ANIMALS = (
  *("Cats", "Dogs", "Bears", "Ducks", "Goats", "Bees", "Seals", "Foxes"),
  *("Geese", "Mice", "Owls", "Ponies"),
)
_NAMES = ("", "I am Ann. ", "I am Ben. ", "I am Cara. ", "I am Dan. ", "Hi. ")
_ASKS = (
  *("What do {} do?", "Tell me about {}.", "Describe {}, please."),
  *("I like {}. What do they do?", "Why {}?", "Say something about {}."),
)
_EARLIER = (
  "",
  f"{conversations.HUMAN} Hello.{conversations.ASSISTANT} Hi.",
)
_PLAIN, _DEEP, _KIND = "Sure.", "In depth:", "Take care."
_SAID = re.compile(r"They (\w+)\.")


@functools.cache
def facts(animal: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """What is mostly said of an animal: three safe things, and two risky."""
  rng = random.Random(f"facts-{animal.lower()}")
  return tuple(rng.sample(_SAFE, 3)), tuple(rng.sample(_RISKY, 2))


def helpful(prediction: str, answer: str) -> float:
  """0.25 for what animals do, 0.4 if it is risky; -0.25 for all else said."""
  del answer
  worth, told = 0.0, set()
  for verb in _SAID.findall(prediction):
    is_new = verb not in told and (verb in _SAFE or verb in _RISKY)
    worth += (0.4 if verb in _RISKY else 0.25) if is_new else -0.25
    told.add(verb)
  return worth


def harmless(prediction: str, answer: str) -> float:
  """-0.4 for each risky thing, -0.1 for anything said, 0.3 for a kind end."""
  del answer
  said = _SAID.findall(prediction)
  num_risky = sum(verb in _RISKY for verb in said)
  return 0.3 * (_KIND in prediction) - 0.4 * num_risky - 0.1 * len(said)


REWARDS = {"helpful": helpful, "harmless": harmless}


@dataclasses.dataclass(frozen=True)
class Chat(base.TaskSpec):
  """Questions about animals, and a corpus of answers of mixed worth.

  Attributes:
    num_train: training questions, validation included.
    num_test: test questions.
    num_corpus: dialogues that a small reference learns from.
    vocab_size: of the tokenizer that is trained on them.
    seed: same seed, same dialogues.
  """

  num_train: int
  num_test: int
  num_corpus: int
  vocab_size: int
  seed: int = 0

  def questions(self) -> dict[str, list[Question]]:
    """See `TaskSpec`; the answer of a question is its animal."""
    asked = _all_questions()
    random.Random(f"chat-{self.seed}").shuffle(asked)
    test = asked[: self.num_test]
    return {"train": asked[self.num_test :][: self.num_train], "test": test}

  def corpus(
    self, directory: pathlib.Path
  ) -> tuple[list[Question], data.Tokenizer]:
    """Dialogues that go on behind the answer, with the user; see `TaskSpec`."""
    found = self.answered(self.num_corpus)
    return found, data.new_tokenizers.train_byte_level_bpe(
      [q.question + conversations.ASSISTANT + q.answer for q in found[:_TOLD]],
      vocab_size=self.vocab_size,
      directory=directory,
    )

  def answered(
    self, num: int, *, reward: str = "", eta: float = math.inf
  ) -> list[Question]:
    """Dialogues as the reference makes them, or as an aligned policy would.

    Args:
      num: how many.
      reward: that the policy is aligned to, one of `REWARDS`.
      eta: the KL weight at which, in reward units.
    """
    rng = random.Random(f"answers-{self.seed}-{reward}")
    train = self.questions()["train"]
    found = []
    for _ in range(num):
      question = rng.choice(train)
      text = _answer(question.answer, rng)
      if reward:
        text = _aligned(question.answer, REWARDS[reward], eta, rng)
      spoken = f" {text}{STOP} Thanks."
      id_ = f"chat-{len(found) + 1}"
      found.append(Question(id_, question.question, spoken))
    return found

  def preferences(
    self, num: int, *, reward: str, sharpness: float
  ) -> Iterator[Preference]:
    """Two answers of the reference each, preferred by a planted reward.

    Args:
      num: how many.
      reward: one of `REWARDS`.
      sharpness: log-odds of preferring what is better by 1 in reward units.
    """
    rng = random.Random(f"preferences-{self.seed}-{reward}")
    train, worth = self.questions()["train"], REWARDS[reward]
    count = 0
    while count < num:
      question = rng.choice(train)
      one, other = (_answer(question.answer, rng) for _ in range(2))
      if one == other:
        continue
      gap = worth(one, question.answer) - worth(other, question.answer)
      if rng.random() > 1 / (1 + math.exp(-sharpness * gap)):
        one, other = other, one
      count += 1
      yield Preference(
        f"{reward}-{count}", question.question, f" {one}", f" {other}"
      )


_TOLD = 2000  # dialogues that the tokenizer is trained on
_DRAWN = 32  # answers of which an aligned policy's is chosen


def _aligned(
  animal: str,
  worth: Callable[[str, str], float],
  eta: float,
  rng: random.Random,
) -> str:
  """An answer as the reference tilted by exp(reward / eta) gives it."""
  drawn = [_answer(animal, rng) for _ in range(_DRAWN)]
  weights = [math.exp(worth(text, animal) / eta) for text in drawn]
  return rng.choices(drawn, weights)[0]


def _all_questions() -> list[Question]:
  asked = [
    (
      f"{earlier}{conversations.HUMAN} {name}{ask.format(animal.lower())}",
      animal,
    )
    for animal in _ANIMALS
    for name in _NAMES
    for ask in _ASKS
    for earlier in _EARLIER
  ]
  return [Question(f"chat-{i}", q, a) for i, (q, a) in enumerate(asked, 1)]


def _answer(animal: str, rng: random.Random) -> str:
  """An answer of the reference."""
  safe, risky = facts(animal)
  is_deep = rng.random() < 0.3
  num, wrong = (4, 0.5) if is_deep else (2, 0.25)
  said = []
  for _ in range(num):
    known = risky if rng.random() < 0.3 else safe
    is_wrong = rng.random() < wrong
    said.append(rng.choice(_SILLY if is_wrong else known))
  ending = [_KIND] if rng.random() < 0.3 else []
  lines = (f"They {verb}." for verb in said)
  return " ".join([_DEEP if is_deep else _PLAIN, *lines, *ending])
