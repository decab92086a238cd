"""Whether prompts with their longest answers fit, before any is sampled."""

import dataclasses
import itertools
from collections.abc import Iterable

import ml_collections

from experiments.harness import prompting, questions
from qsharp_jax import data, generate, pipeline, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, pairs


def check(
  config: ml_collections.ConfigDict,
  problems: Iterable[rollout.Problem],
  context: int,
) -> None:
  """Refuses the first question that exceeds the context or a training row.

  Args:
    config: its sampling and fit.
    problems: of all splits.
    context: of the models, in tokens.

  Raises:
    InputError: names the question, its length, and what it exceeds.
  """
  for problem in problems:
    generate.requests.check_length(
      f"question {problem.id}",
      len(problem.prompt),
      max_new_tokens=config.sampling.max_new_tokens,
      limits={
        "the models' context": context,
        "the rows of training, fit.max_length,": config.fit.max_length,
      },
    )


def check_own(
  config: ml_collections.ConfigDict,
  splits: questions.Splits,
  tokenizer: data.Tokenizer,
) -> None:
  """As `check`, for a model of our own that is not trained yet."""
  found = prompting.problems(config, splits, tokenizer)
  problems = itertools.chain.from_iterable(found.values())
  check(config, problems, config.pretrain.context)


def check_tuned(
  run: pipeline.Run,
  name: str,
  settings: base.Settings,
  gold: base.Gold | None = None,
) -> None:
  """Refuses rows that the answers a policy learns from may exceed.

  Args:
    run: whose training questions it learns from.
    name: of the policy.
    settings: its own, those of policies before it included.
    gold: gold answers, one of each pair where they are given.

  Raises:
    InputError: names the row length, and the one that is needed.
  """
  for field in dataclasses.fields(settings):
    inner = getattr(settings, field.name)
    if isinstance(inner, base.Settings):
      check_tuned(run, f"{name}.{field.name}", inner, gold)
  if settings.is_on_pairs and run.task.preferences:
    pairs.check_fit(run.task.preferences, length=settings.fit.max_length)
    return
  most, num_answers = run.sampling.max_new_tokens, settings.answers_per_row
  for problem in run.task.train:
    answers = num_answers * most
    if num_answers == 2 and gold is not None:
      answers = most + len(gold(problem))
    size = num_answers * len(problem.prompt) + answers
    if size > settings.fit.max_length:
      raise InputError(
        f"baselines.{name}.fit.max_length is {settings.fit.max_length}; "
        f"expected at least {size}: a row must hold {num_answers} x question "
        f"{problem.id}, {len(problem.prompt)} tokens, with its longest answer "
        f"(sampling.max_new_tokens {most}); raise it, or lower max_new_tokens"
      )
