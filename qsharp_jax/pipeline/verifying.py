"""A run's own answers drawn again, beside plain forward passes."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qsharp_jax import generate, rollout
from qsharp_jax.core import files, progress
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import observing
from qsharp_jax.pipeline import answers, bindings
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes

_POSITIONS = 8  # tokens of an answer that a report's line rests on
_LAZY = 2  # candidates that are scored in a turn, where not all are


@dataclasses.dataclass(frozen=True)
class Subject:
  """A policy that has answered questions."""

  label: str
  policy: generate.Policy
  params: PyTree
  eta: float | None  # None: the reference
  found: rollout.Rollouts  # its answers


def of_run(run: run_lib.Run, policies: Sequence[answers.Policy]) -> str | None:
  """A line on the reference and the first guided policy, in a stage.

  Args:
    run: its layout and its last values are used.
    policies: the reference first.

  Returns:
    The line; None in processes other than the main one.
  """
  shown = [policies[0], *[p for p in policies if p.guidance is not None][:1]]
  path = run.paths.verified
  stage = bindings.shown(
    run, "verify", path, [(p.stage, p.guidance) for p in shown]
  )
  with run.workdir.stages([stage]) as due:
    if due:
      found = [_of_policy(run, policy) for policy in shown]
      if processes.is_main():
        files.replace(path, json.dumps(found, indent=1) + "\n")
  if not processes.is_main():
    return None
  return line(files.read_json(path))


def _of_policy(run: run_lib.Run, own: answers.Policy) -> dict[str, Any]:
  """A few answers of one row of the report."""
  params = {"reference": run.players.reference_params}
  policy = run.unguided()
  if own.guidance is not None:
    policy = dataclasses.replace(run.players.policy, guidance=own.guidance)
    params["value"] = run.values(run.rounds.num_rounds)
  shape = run.layout.mesh.shape
  size = shape["data"] * shape["fsdp"]  # prompts that devices can share
  return verify(
    Subject(own.label, policy, params, own.eta, own.found),
    dataclasses.replace(
      run.sampling, batch_size=2 * size, prompts_per_refill=size
    ),
    place=run.layout.place,
    decode=run.task.decode,
    num_questions=4 * size,  # half of them wait for rows
    most_positions=_POSITIONS,
    is_lazy_too=False,
  )


def verify(
  subject: Subject,
  sampling: generate.Sampling,
  *,
  place: Callable[[PyTree], PyTree],
  decode: Callable[[list[int]], str],
  num_questions: int,
  most_positions: int | None = None,
  is_lazy_too: bool = True,
) -> dict[str, Any]:
  """Compares the decode loop with plain passes on stored answers.

  Args:
    subject: whose answers are drawn again, with their seeds.
    sampling: few prompts at a time, so that others wait for their rows.
    place: puts arrays on the devices.
    decode: token ids to text.
    num_questions: evenly chosen, one answer each.
    most_positions: see `observing.compare`.
    is_lazy_too: also draws the answers with few candidates scored in a turn.

  Returns:
    As JSON has it: how many tokens were compared, the mean and the worst KL
    and where it is, and how many answers are those of the run.
  """
  found = _chosen(subject.found, num_questions)
  eta = np.inf if subject.eta is None else subject.eta
  requests = [
    generate.Request(row.prompt, [row.seed], eta, id=row.question_id)
    for row in found
  ]
  policy = dataclasses.replace(subject.policy, num_scored=0)
  comparisons = observing.compare(
    policy.at(sampling.top_p),
    subject.params,
    requests,
    sampling,
    place=place,
    most_positions=most_positions,
  )
  name = f"verify {subject.label}"
  with progress.bar(
    comparisons, name, total=len(requests), unit="answer"
  ) as bar:
    compared = list(bar)
  kl = np.concatenate([own.kl for own in compared])
  worst = int(np.nanargmax([np.nanmax(own.kl) for own in compared]))
  token = int(np.nanargmax(compared[worst].kl))
  return {
    "label": subject.label,
    "tokens": int(np.isfinite(kl).sum()),
    "answers": len(found),
    "mean": float(np.nanmean(kl)),
    "worst": {
      "kl": float(compared[worst].kl[token]),
      "question": found[worst].question_id,
      "sample": found[worst].sample,
      "token": token,
      "text": decode([int(compared[worst].tokens[token])]),
    },
    "same": _count_same([own.tokens for own in compared], found),
    "same_lazily": _lazily(policy, subject, requests, sampling, place, found)
    if is_lazy_too
    else None,
  }


def line(subjects: Sequence[Mapping[str, Any]]) -> str:
  """What the report says of it."""
  worst = ", ".join(f"{s['worst']['kl']:.1e} ({s['label']})" for s in subjects)
  said = [
    f"Verified on {sum(s['tokens'] for s in subjects)} tokens: KL(decode loop "
    f"|| plain forward) at most {worst} nats a token",
    f"{sum(s['same'] for s in subjects)} of "
    f"{sum(s['answers'] for s in subjects)} answers drawn again are the run's",
  ]
  lazy = [s for s in subjects if s["same_lazily"] is not None]
  if lazy:
    said.append(
      f"{sum(s['same_lazily'] for s in lazy)} of "
      f"{sum(s['answers'] for s in lazy)} with candidates scored lazily"
    )
  return "; ".join(said) + "."


def _chosen(found: rollout.Rollouts, most: int) -> list[rollout.Rollout]:
  """The first answers to questions at equal distances."""
  _, codes = found.questions()
  firsts = np.unique(codes, return_index=True)[1]
  where = np.linspace(0, len(firsts) - 1, min(most, len(firsts)))
  return [found[int(firsts[i])] for i in np.unique(where.round().astype(int))]


def _lazily(
  policy: generate.Policy,
  subject: Subject,
  requests: Sequence[generate.Request],
  sampling: generate.Sampling,
  place: Callable[[PyTree], PyTree],
  found: Sequence[rollout.Rollout],
) -> int | None:
  """How many answers lazy scoring draws as the run did; None if it cannot."""
  lazy = dataclasses.replace(policy, num_scored=_LAZY)
  if not lazy.at(sampling.top_p).is_lazy:
    return None
  answers = generate.generate(
    lazy, subject.params, requests, sampling, place=place
  )
  return _count_same([own.tokens for (own,) in answers], found)


def _count_same(
  tokens: Sequence[np.ndarray], found: Sequence[rollout.Rollout]
) -> int:
  return sum(
    np.array_equal(own, row.tokens)
    for own, row in zip(tokens, found, strict=True)
  )
