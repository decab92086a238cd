"""Who samples for a round where rewards are functions of token ids.

The devices sample, reward, label and aggregate (`rollout.program`); the host
asks, and reads back what the store keeps. The rows of the store are those that
`rollout.collect` would have written, since streams of random numbers, switches
and rewards are the same.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from qsharp_jax import data, generate, rewards
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.ragged import Ragged
from qsharp_jax.generate import reading
from qsharp_jax.ops import token_rewards
from qsharp_jax.rollout import buffer as buffer_lib
from qsharp_jax.rollout import columns, program, trajectories
from qsharp_jax.rollout import problems as problems_lib
from qsharp_jax.rollout.problems import Plan, Problem
from qsharp_jax.sharding import processes


@dataclasses.dataclass(frozen=True)
class Reward:
  """A verdict on whole answers, 0 or 1, that the devices can give.

  Attributes:
    pay: tokens to rewards.
    answers: what `pay` reads of some problems. Leaves [B, ...].
    extract: what a grader would cut out of a text, for the store.
  """

  pay: trajectories.RewardFn
  answers: Callable[[Sequence[Problem]], PyTree]
  extract: Callable[[str], str | None]


@dataclasses.dataclass(frozen=True)
class PayListed:
  """`token_rewards.listed`; equal by content, so that programs are shared."""

  silent: tuple[int, ...]  # tokens without a text

  def __call__(
    self, tokens: Array, lengths: Array, answers: token_rewards.Listed
  ) -> Array:
    """See `trajectories.RewardFn`."""
    return token_rewards.listed(tokens, lengths, answers, silent=self.silent)


def path(tokenizer: data.Tokenizer, *, max_new_tokens: int) -> Reward:
  """What `rewards.graders.path` says of the texts, where words are tokens.

  Args:
    tokenizer: of the models.
    max_new_tokens: of a completion.

  Raises:
    InputError: a tokenizer whose text is not its tokens, joined by spaces.
  """
  texts = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
  spoken = [i for i, text in enumerate(texts) if text]
  words = [texts[i] for i in spoken]
  is_apart = len(set(words)) == len(words)
  if not is_apart or tokenizer.decode(spoken) != " ".join(words):
    raise InputError(
      "rounds.on_device is True, and tokens of the reference are no whole "
      "words; expected a tokenizer with a token for each node, so that paths "
      "can be told from ids: set it to False"
    )

  @functools.cache
  def encoded(answer: str) -> list[int]:
    # One place more than can be sampled: what is longer is never right.
    ids = [i for i in tokenizer.encode(answer) if texts[i]]
    return (ids + [-1] * (1 + max_new_tokens))[: 1 + max_new_tokens]

  def answers(problems: Sequence[Problem]) -> token_rewards.Listed:
    ids = np.array([[encoded(p.answer)] for p in problems], np.int32)
    return token_rewards.Listed(ids, np.ones((len(problems), 1), np.float32))

  silent = tuple(i for i, text in enumerate(texts) if not text)
  return Reward(PayListed(silent), answers, rewards.extraction.path)


class Batch(NamedTuple):
  """Samples in the making."""

  plan: Plan
  problems: Sequence[Problem]
  seeds: np.ndarray  # [R] uint32
  found: trajectories.Trajectories
  started: float


class Sampler:
  """Samples, grades and aggregates batches of problems on the devices.

  Attributes:
    buffer: the rows of all batches so far, on the devices, in their order.
  """

  def __init__(
    self,
    policy: generate.Policy,
    params: PyTree,
    sampling: generate.Sampling,
    reward: Reward,
    buffer: buffer_lib.Buffer,
    *,
    decode: Callable[[list[int]], str],
    place: Callable[[PyTree], PyTree],
  ):
    """Makes the sampler.

    Args:
      policy: the models.
      params: see `generate.Policy`.
      sampling: sizes of the program.
      reward: grades.
      buffer: gets the rows. Given up.
      decode: token ids to text, for the store.
      place: puts arrays with a leading batch dimension on the devices.
    """
    self.buffer = buffer
    self._policy, self._params = policy.at(sampling.top_p), params
    self._sampling, self._reward, self._place = sampling, reward, place
    self._decode = decode
    # Few completions are distinct where answers are short.
    self._texts: dict[bytes, tuple[str, str | None]] = {}

  def samples(
    self, parts: Sequence[tuple[Plan, Sequence[Problem]]]
  ) -> Iterator[columns.Rollouts]:
    """The rows of each batch; the next one is sampled while one is read."""
    waiting: Batch | None = None
    for plan, problems in parts:
      begun = self._begin(plan, problems)
      if waiting is not None:
        yield self._rows(waiting)
      waiting = begun
    if waiting is not None:
      yield self._rows(waiting)

  def _begin(self, plan: Plan, problems: Sequence[Problem]) -> Batch:
    """Starts to sample a batch, filled up with rows that write nothing."""
    if plan.rule == "response":
      raise InputError(
        "the rule is 'response', which looks at whole answers before it "
        "switches; expected 'algorithm1' where the devices sample on their own"
      )
    started = time.monotonic()
    num_rows, length = self.buffer.rows["tokens"].shape[1:]
    most = self._sampling.max_new_tokens
    missing = num_rows // plan.num_samples - len(problems)
    whole = dataclasses.replace(plan, num_together=None)
    requests = [problems_lib.requests(p, whole)[0] for p in problems]
    controls = reading.make_controls(
      requests, plan.num_samples, missing, self._sampling
    )
    filled = [*problems, *[problems[0]] * missing]
    prompts, positions = reading.right_align(
      [problem.prompt for problem in filled], bucket=length - most
    )
    first = controls.guided_steps * (plan.rule is not None)
    self.buffer, found = program.collect(
      self._policy,
      self._reward.pay,
      self._params,
      self.buffer,
      *self._place(
        (
          trajectories.Problems(
            prompts, positions, self._reward.answers(filled)
          ),
          controls,
          first,
        )
      ),
      num_new_tokens=most,
    )
    return Batch(plan, problems, controls.seeds, found, started)

  def _rows(self, batch: Batch) -> columns.Rollouts:
    """Waits for a batch, and makes rows of the store."""
    plan, problems = batch.plan, batch.problems
    num_rows = len(problems) * plan.num_samples
    found = processes.fetch(batch.found)
    seconds = (time.monotonic() - batch.started) / num_rows

    def cut(table):
      return table[:num_rows]

    tokens, lengths = cut(found.tokens), cut(found.lengths)
    texts = [
      self._said(row[:length])
      for row, length in zip(tokens, lengths, strict=True)
    ]

    def each(values):
      return np.repeat(np.array([*values, None], object)[:-1], plan.num_samples)

    labels = cut(found.rewards).sum(axis=1)
    num_models = sum(map(len, self._policy.decoders.values()))
    starts = np.arange(num_rows) * tokens.shape[1]
    prompts = Ragged.of([problem.prompt for problem in problems])

    def full(value):
      return np.full(num_rows, value, object)

    return columns.Rollouts.typed(
      question_id=each(p.id for p in problems),
      sample=np.tile(np.arange(plan.num_samples), len(problems)),
      seed=batch.seeds[:num_rows],
      eta=full(plan.eta),
      prompt=prompts.take(
        np.repeat(np.arange(len(problems)), plan.num_samples)
      ),
      tokens=Ragged(tokens.reshape(-1), starts, lengths.astype(np.int64)),
      first_label=cut(found.first_label),
      ended=cut(found.ended),
      text=np.array([text for text, _ in texts], object),
      extracted=np.array([extracted for _, extracted in texts], object),
      correct=labels > 0,
      label=labels,
      error=full(None),
      kl=cut(found.kl).sum(axis=1),
      kl_filtered=cut(found.kl_filtered).sum(axis=1),
      forwards=num_models * (1 + lengths),
      seconds=full(seconds),
      answer=each(p.answer for p in problems),
      split=each(p.split for p in problems),
      question=each(p.question for p in problems),
      value=full(np.nan),
    )

  def _said(self, tokens: np.ndarray) -> tuple[str, str | None]:
    """The text of a completion, and what a grader would cut out of it."""
    key = tokens.tobytes()
    if key not in self._texts:
      text = self._decode(tokens.tolist())
      self._texts[key] = text, self._reward.extract(text)
    return self._texts[key]
