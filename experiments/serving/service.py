"""What is served: models, the names of what guides, defaults and limits."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qsharp_jax import data
from qsharp_jax.serving import jobs

REFERENCE = "reference"  # the method of no guidance


@dataclasses.dataclass(frozen=True)
class Defaults:
  """Of requests that do not say."""

  method: str
  eta: float
  num_candidates: int
  temperature: float
  top_p: float


@dataclasses.dataclass(frozen=True)
class Limits:
  """What nobody may exceed."""

  max_body: int = 1 << 20  # bytes
  max_prompts: int = 64  # of one request
  max_queue: int = 1024  # samples that wait or run
  max_connections: int = 512
  read_s: float = 10.0  # seconds that a request may take to arrive
  write_s: float = 30.0  # seconds that a client may take no byte
  idle_s: float = 30.0  # seconds between two requests of a connection
  time_s: float = 600.0  # seconds of one request


@dataclasses.dataclass(frozen=True)
class Service:
  """All that turns a request into jobs, and tokens into an answer."""

  name: str
  methods: Mapping[str, int]  # number in the policy's choice, by name
  defaults: Defaults
  limits: Limits
  sizes: jobs.Sizes
  tokenizer: data.Tokenizer
  # Token ids of a conversation, up to where the answer starts.
  render: Callable[[Sequence[Mapping[str, str]]], list[int]]
  check: Callable[[jobs.Job], Any]  # raises an InputError
  num_top: int  # alternatives to a token that are known
  longest_token: int  # characters
  created: int  # seconds since 1970
  stops: tuple[str, ...] = ()  # that end every answer

  def piece(self, token: int) -> str:
    """The text of one token, special ones by their names."""
    return self.tokenizer.decode([token]) or str(
      self.tokenizer.hf.convert_ids_to_tokens(token)
    )
