"""Prompts that would not fit, found before hours of sampling."""

from collections.abc import Iterable

from qsharp_jax import rollout
from qsharp_jax.core.errors import InputError


def check(
  problems: Iterable[rollout.Problem],
  *,
  context: int,
  max_new_tokens: int,
  row_length: int,
) -> None:
  """Makes sure that every prompt with its longest completion fits.

  Args:
    problems: all that will be sampled.
    context: the shortest context of the models, in tokens.
    max_new_tokens: tokens of the longest completion.
    row_length: tokens of a packed row of training.

  Raises:
    InputError: names a question, its length and what it exceeds.
  """
  limits = {
    "the models' context": context,
    "the rows of training, fit.max_length,": row_length,
  }
  for problem in problems:
    length = len(problem.prompt)
    for name, limit in limits.items():
      if length + max_new_tokens > limit:
        raise InputError(
          f"the prompt of question {problem.id} has {length} tokens; expected "
          f"at most {limit - max_new_tokens}, so that it fits {name} of "
          f"{limit} with max_new_tokens {max_new_tokens}: shorten or drop the "
          "question, or lower max_new_tokens"
        )
