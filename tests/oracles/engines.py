"""A small engine, and the loop that experiments run, to answer the same jobs.

All tests of the engine and of what is built on it use the same sizes, so that
they share compiled programs.
"""

import dataclasses

from oracles import players

from qsharp_jax import generate
from qsharp_jax.serving import engine as engine_lib
from qsharp_jax.serving import jobs

KINDS = ("qsharp", "cd", "vas", "fudge")
CANDIDATES = (2, 5, 2, 3)  # of each kind, in tests: offline, a program each
SIZES = jobs.Sizes(
  num_rows=4,
  max_length=32,
  max_new_tokens=10,
  prompt_bucket=16,
  num_entering=2,
  num_turns=3,
)


def policy(kind=None) -> generate.Policy:
  """Guided by one kind, or by the one that a row chooses."""
  own = dataclasses.replace(players.policy("v"), top_p_of="reference")
  if kind is not None:
    return dataclasses.replace(own, guidance=generate.Guidance(kind))
  choice = generate.Choice(tuple(map(generate.Guidance, KINDS)))
  return dataclasses.replace(own, guidance=choice, num_top=5)


def engine() -> engine_lib.Engine:
  return engine_lib.Engine(policy(), players.params("v"), SIZES)


def offline(job: jobs.Job) -> generate.Completion:
  """The answer of the loop that experiments run, one kind at a time."""
  request = generate.Request(
    job.prompt, [job.seed], job.eta, max_new_tokens=job.max_new_tokens
  )
  own = dataclasses.replace(
    policy(KINDS[job.which]), num_candidates=job.num_candidates
  )
  sampling = players.sampling(
    temperature=job.temperature,
    top_p=job.top_p,
    batch_size=2,
    prompt_bucket=16,
  )
  asked = generate.generate(own, players.params("v"), [request], sampling)
  ((answer,),) = asked
  return answer
