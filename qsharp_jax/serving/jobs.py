"""What the engine is asked for, in which sizes it works, and what it says."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import next_token
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import requests as requests_lib


@dataclasses.dataclass(frozen=True)
class Job:
  """One sample of one prompt: a row of the running batch for a while."""

  prompt: Sequence[int]
  seed: int  # 32 bits
  max_new_tokens: int
  which: int = 0  # of the policy's choice of guidance
  eta: float = float("inf")  # inf: the reference alone
  num_candidates: int = 1
  temperature: float = 1.0
  top_p: float = 1.0


@dataclasses.dataclass(frozen=True)
class Sizes:
  """All that shapes the engine's programs and its memory."""

  num_rows: int = 32  # answers in the running batch
  max_length: int = 2048  # of a prompt and its answer together, in tokens
  max_new_tokens: int = 1024  # of an answer
  prompt_bucket: int = 64  # the shortest width of a prompt; others are doubles
  num_entering: int = 8  # prompts that are read together, where so many wait
  num_turns: int = 8  # of the loop, before anyone may join or hears anything

  @property
  def widths(self) -> list[int]:
    """The widths that prompts are padded to."""
    found = [max(2, self.prompt_bucket)]
    while found[-1] < self.max_length - 1:
      found.append(2 * found[-1])
    return [*found[:-1], min(found[-1], self.max_length)]

  def width(self, length: int) -> int:
    """The width of a prompt."""
    return next(width for width in self.widths if width >= length)


@dataclasses.dataclass(frozen=True)
class Progress:
  """What a turn of the engine has written for a job, or that it has ended."""

  ticket: int
  tokens: np.ndarray  # [n] int32, those that are new
  log_probs: np.ndarray  # [n] of the distributions they were drawn from
  top: next_token.Top | None  # [n, k] alternatives
  is_over: bool = False
  has_ended: bool = False  # by an end token, not by the limit
  error: str = ""  # why nothing more will come


def check(policy: policy_lib.Policy, sizes: Sizes, job: Job) -> None:
  """Refuses a job that the engine cannot do.

  Raises:
    InputError: what `requests.check` refuses, a prompt that is too long, or
      settings that are out of their range.
  """
  if not 0 < job.max_new_tokens <= sizes.max_new_tokens:
    raise InputError(
      f"max_tokens is {job.max_new_tokens}; expected 1 to "
      f"{sizes.max_new_tokens}"
    )
  requests_lib.check_length(
    "this request",
    len(job.prompt),
    max_new_tokens=job.max_new_tokens,
    limits={"the server's longest sequence": sizes.max_length},
  )
  request = requests_lib.Request(job.prompt, [job.seed], job.eta, id="asked")
  sampling = requests_lib.Sampling(max_new_tokens=job.max_new_tokens)
  requests_lib.check(policy, [request], sampling)
  most = policy.most_candidates
  ranges = {
    "num_candidates": (job.num_candidates, 1, most),
    "temperature": (job.temperature, 0, 100),
    "top_p": (job.top_p, 1e-6, 1),
  }
  for name, (value, least, greatest) in ranges.items():
    if not least <= value <= greatest:
      raise InputError(f"{name} is {value}; expected {least} to {greatest}")
