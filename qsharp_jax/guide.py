"""A reference and the value model that guides it, in one object.

  guide = qsharp_jax.load("MODEL_DIR", values="RUN/round_2/value")
  for answer in guide.generate("How many pens does Ann have?", eta=0.1):
    print(answer.text, answer.kl)

Experiments are wired from the same parts with many more switches; what is here
is what a notebook wants.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from qsharp_jax import data, models, sharding, training
from qsharp_jax import generate as generate_lib
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import seeds
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided

_MOST_TOKENS = 256  # new ones, where the caller says nothing
_MOST_PROMPTS = 32  # at the same time
_BUCKET = 64  # lengths of rows that values read are multiples of it


class Answer(NamedTuple):
  """One sample."""

  text: str
  tokens: np.ndarray  # int32 [T], the end token included
  values: np.ndarray | None  # mean reward-to-go after each token, [T]
  kl: float  # nats to the reference, summed over the tokens
  ended: bool  # by an end token or a stop string, not by the limit


@dataclasses.dataclass(frozen=True)
class Guide:
  """A frozen reference and, perhaps, values; made by `load`.

  Attributes:
    policy: both models, guidance by Q# where there are values.
    params: of both, on the devices.
    tokenizer: the reference's.
    form: of prompts.
    critic: what the value model's logits mean; None without values.
    layout: where arrays lie.
  """

  policy: generate_lib.Policy
  params: dict[str, PyTree]
  tokenizer: data.Tokenizer
  form: data.prompts.Form
  critic: training.Critic | None
  layout: sharding.Layout

  @property
  def stops(self) -> tuple[str, ...]:
    """Strings that end an answer, whose text stops before them."""
    return self.policy.stops.strings if self.policy.stops else ()

  def generate(
    self,
    prompt: str | Sequence[str],
    *,
    eta: float | None = 0.1,
    method: str = "qsharp",
    num_samples: int = 1,
    seed: int = 0,
    sampling: generate_lib.Sampling | None = None,
  ) -> list[Answer] | list[list[Answer]]:
    """Samples answers, guided towards high rewards.

    Args:
      prompt: a question, or several.
      eta: KL weight, in reward units, > 0: small is strong guidance. None: the
        reference alone.
      method: `qsharp`, `cd`, `vas` or `fudge`.
      num_samples: of each question.
      seed: another seed, other answers.
      sampling: temperature, top-p, limits; None: temperature 1, all tokens,
        up to 256 new ones.

    Returns:
      The samples of the question; a list of them for several.

    Raises:
      InputError: no such method, an eta that is not positive, guidance without
        values, a prompt that does not fit.
    """
    questions = [prompt] if isinstance(prompt, str) else list(prompt)
    policy = self._policy(None if eta is None else method)
    asked = [
      generate_lib.Request(
        data.prompts.render(question, self.tokenizer, self.form),
        [seeds.stable_seed(seed, question, i) for i in range(num_samples)],
        float("inf") if eta is None else eta,
      )
      for question in questions
    ]
    with self.layout.context():
      found = list(
        generate_lib.generate(
          policy,
          self.params,
          asked,
          sampling or _sampling(policy, [r.prompt for r in asked]),
          place=self.layout.place,
        )
      )
      answers = [
        [self._answer(request.prompt, completion) for completion in samples]
        for request, samples in zip(asked, found, strict=True)
      ]
    return answers[0] if isinstance(prompt, str) else answers

  def values(self, prompt: Sequence[int], tokens: Sequence[int]) -> np.ndarray:
    """Mean reward-to-go after every token of a completion. Shape [T].

    Args:
      prompt: token ids.
      tokens: of the completion. Shape [T].
    """
    if self.critic is None:
      raise InputError("there are no values; expected load(..., values=DIR)")
    row = [*prompt, *tokens]
    # One program for rows of about one length.
    padding = -len(row) % _BUCKET
    means = _means(
      self.critic,
      self.params["value"],
      np.array([row + [0] * padding], np.int32),
      np.array([[*range(len(row))] + [-1] * padding], np.int32),
    )
    return np.asarray(means)[0, len(prompt) : len(row)]

  def _policy(self, method: str | None) -> generate_lib.Policy:
    """Who samples: the reference (None), or guided by a method."""
    if method is None or self.critic is None:
      if method is not None:
        raise InputError(
          "there are no values to guide by; expected load(..., values=DIR), or "
          "eta=None for the reference alone"
        )
      return dataclasses.replace(self.policy, value=None, guidance=None)
    guided.check(method)
    return dataclasses.replace(
      self.policy, guidance=self.critic.guidance(method)
    )

  def _answer(
    self, prompt: Sequence[int], completion: generate_lib.Completion
  ) -> Answer:
    """A completion with its text, and what the values say of it."""
    has_values = self.critic is not None
    text = self.tokenizer.decode(completion.tokens.tolist())
    return Answer(
      data.stops.cut(text, self.stops),
      completion.tokens,
      self.values(prompt, completion.tokens) if has_values else None,
      float(completion.kl.sum()),
      completion.ended,
    )


def load(
  reference: str | os.PathLike,
  *,
  values: str | os.PathLike | None = None,
  form: data.prompts.Form | None = None,
  stop: Sequence[str] | None = None,
  num_candidates: int = 20,
  dtype: str = "float32",
) -> Guide:
  """Loads a language model and the value model that guides it.

  Args:
    reference: model directory or hub id.
    values: value model of a run, `RUN/round_2/value`, or one that was shared.
    form: of prompts; None: one turn through the tokenizer's chat template if it
      has one, else "Question: …".
    stop: strings that end an answer; None: those that the values were trained
      with, which their directory says.
    num_candidates: tokens that are scored at each step.
    dtype: of weights and activations.

  Raises:
    InputError: a model that cannot be read, two vocabularies, or strings that
      cannot end an answer.
  """
  layout = sharding.layout.over_weights()
  tokenizer = data.tokenizer.load(str(reference))
  config = huggingface.families.from_hf(
    huggingface.read_config(reference), dtype=dtype, param_dtype=dtype
  )
  language_model = layout.sampling(models.LanguageModel(config))
  kinds = {"dtype": dtype, "param_dtype": dtype}
  _, params = huggingface.load_language_model(
    reference, shardings=layout.for_decoding(language_model), **kinds
  )
  if stop is None:
    stop = () if values is None else training.value_model.saved_stops(values)
  policy = generate_lib.Policy(
    reference=language_model,
    eos_ids=tokenizer.eos_ids,
    num_candidates=num_candidates,
    stops=data.stops.automaton(tokenizer, stop),
  )
  held = {"reference": params}
  critic = None
  if values is not None:
    critic = training.value_model.saved_critic(values, dtype=dtype)
    data.tokenizer.check_same(tokenizer, data.tokenizer.load(str(values)))
    held["value"] = huggingface.load_value_model(
      values, shardings=layout.for_decoding(critic.model), **kinds
    )[2]
    policy = dataclasses.replace(
      policy,
      value=layout.sampling(critic.model),
      guidance=critic.guidance("qsharp"),
    )
  has_template = getattr(tokenizer.hf, "chat_template", None)
  form = form or data.prompts.Form("chat" if has_template else "plain")
  return Guide(policy, held, tokenizer, form, critic, layout)


def _sampling(
  policy: generate_lib.Policy, prompts: Sequence[Sequence[int]]
) -> generate_lib.Sampling:
  """How to sample where nothing is said: what the context has room for."""
  decoders = itertools.chain(*policy.decoders.values())
  room = min(config.max_length for config in decoders)
  room -= max(map(len, prompts), default=0)
  return generate_lib.Sampling(
    max_new_tokens=max(1, min(_MOST_TOKENS, room)),
    batch_size=max(1, min(len(prompts), _MOST_PROMPTS)),
  )


@functools.partial(jax.jit, static_argnums=0)
def _means(
  critic: training.Critic, params: PyTree, tokens: Array, positions: Array
) -> Array:
  """Mean reward-to-go after every token [1, T]."""
  return critic.mean(critic.model.apply(params, tokens, positions))
