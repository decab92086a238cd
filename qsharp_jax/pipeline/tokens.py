"""Some answers token by token: values, probabilities and alternatives."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from qsharp_jax import generate, training
from qsharp_jax.core import files
from qsharp_jax.generate import following
from qsharp_jax.ops import readout
from qsharp_jax.pipeline import answers, bindings
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes

_NUM_QUESTIONS = 8
_MOST_TOKENS = 256  # of an answer
_MOST_OTHERS = 8  # alternatives to a token
_MOST_ATOMS = 16  # of a distribution that is shown
_MOST_POLICIES = 3  # guided ones


def of_run(
  run: run_lib.Run, policies: Sequence[answers.Policy]
) -> dict[str, Any] | None:
  """Some test questions' answers, followed in a stage of its own.

  Args:
    run: its last values are looked at.
    policies: the reference first.

  Returns:
    What the page shows, None where no policy is guided by values or in
    processes other than the main one.
  """
  guided = [p for p in policies if p.guidance is not None][:_MOST_POLICIES]
  if not guided:
    return None
  shown = [policies[0], *guided]
  stages = [(p.stage, p.guidance) for p in shown]
  path = run.paths.tokens
  with run.workdir.stages([bindings.shown(run, "tokens", path, stages)]) as due:
    if due:
      content = _followed(run, shown)
      if processes.is_main():
        files.replace(path, json.dumps(content))
  return files.read_json_object(path) if processes.is_main() else None


def form(
  critic: training.Critic, questions: Sequence[dict[str, Any]]
) -> dict[str, Any]:
  """Questions with their followed answers, as the page reads them."""
  means = [
    token[1] for q in questions for a in q["answers"] for token in a["tokens"]
  ]
  low, high = readout.bounds(loss=critic.loss, atoms=critic.atoms)
  if not math.isfinite(low):
    low, high = min(means, default=0.0), max(means, default=1.0)
  is_chance = critic.loss == "bernoulli"
  atoms = (
    None
    if critic.atoms is None
    else [_short(part.mean()) for part in _parts(np.array(critic.atoms))]
  )
  return {
    "bounds": [low, high if high > low else low + 1],
    "isChance": is_chance,
    "atoms": atoms,
    "questions": list(questions),
  }


def rows(
  critic: training.Critic,
  followed: following.Followed,
  decode: Callable[[list[int]], str],
  eos_ids: Sequence[int],
) -> list[list[Any]]:
  """A list for each token: text, value, probabilities, others, distribution.

  Args:
    critic: says what value logits mean.
    followed: one answer. T tokens.
    decode: token ids to text.
    eos_ids: tokens that end an answer.
  """

  def name(token):
    return "⟨end⟩" if token in eos_ids else decode([int(token)])

  means = np.asarray(critic.mean(followed.values))
  found = []
  for t, tokens in enumerate(followed.tokens):
    numbers = [
      [
        name(token),
        _short(means[t, i]),
        _short(np.exp(followed.reference[t, i])),
        _short(np.exp(followed.guided[t, i])),
      ]
      for i, token in enumerate(tokens)
    ]
    likely = np.maximum(followed.reference[t], followed.guided[t])
    order = sorted(range(1, len(tokens)), key=lambda i: -likely[i])
    others = [numbers[i] for i in order[:_MOST_OTHERS]]
    found.append([*numbers[0], others, _distribution(critic, followed, t)])
  return found


def _followed(
  run: run_lib.Run, policies: Sequence[answers.Policy]
) -> dict[str, Any]:
  """Follows the worst answers to chosen questions."""
  chosen = _chosen(answers.mean_rewards(policies))
  lists: dict[str, list[dict[str, Any]]] = {id_: [] for id_ in chosen}
  for policy in policies:
    for id_, answer in _of_policy(run, policy, policies[1], chosen):
      lists[id_].append(answer)
  found = policies[0].found
  first = {id_: _worst(policies[0], id_) for id_ in chosen}
  return form(
    run.players.critic,
    [
      {
        "id": id_,
        "question": found.question[first[id_]],
        "gold": found.answer[first[id_]],
        "answers": lists[id_],
      }
      for id_ in chosen
    ],
  )


def _of_policy(
  run: run_lib.Run,
  policy: answers.Policy,
  guide: answers.Policy,
  chosen: Sequence[str],
) -> Iterator[tuple[str, dict[str, Any]]]:
  """One policy's answers; the reference's as `guide` would change them."""
  by = guide if policy.guidance is None else policy
  policy_of = dataclasses.replace(run.players.policy, guidance=by.guidance)
  worst = [_worst(policy, id_) for id_ in chosen]
  tokens = [policy.found.tokens[i][:_MOST_TOKENS] for i in worst]
  requests = [
    generate.Request(policy.found.prompt[i], [0], by.eta, id=id_)
    for i, id_ in zip(worst, chosen, strict=True)
  ]
  params = {
    "reference": run.players.reference_params,
    "value": run.values(run.rounds.num_rounds),
  }
  found = following.follow(
    policy_of, params, requests, tokens, run.sampling, place=run.layout.place
  )
  label = (
    policy.label if by is policy else f"{policy.label} (guided: {by.label})"
  )
  for i, id_, one in zip(worst, chosen, found, strict=True):
    yield (
      id_,
      {
        "label": label,
        "reward": float(policy.rewards[i]),
        "tokens": rows(
          run.players.critic, one, run.task.decode, policy_of.eos_ids
        ),
      },
    )


def _chosen(means: dict[str, list[float]]) -> list[str]:
  """Questions that guidance answers worst, then those where it gains most."""
  worst = sorted(means, key=lambda id_: answers.badness(means[id_]))
  gained = sorted(means, key=lambda id_: means[id_][0] - means[id_][1])
  half = _NUM_QUESTIONS // 2
  return list(dict.fromkeys([*worst[:half], *gained]))[:_NUM_QUESTIONS]


def _worst(policy: answers.Policy, id_: str) -> int:
  """The first answer of least reward to a question."""
  own = np.flatnonzero(policy.found.question_id == id_)
  return int(own[np.argmin(policy.rewards[own])])


def _distribution(
  critic: training.Critic, followed: following.Followed, t: int
) -> list[float] | None:
  """Of the reward after a token, by few atoms; None where its mean says all."""
  if critic.loss != "categorical":
    return None
  log_probs, _ = readout.distribution(
    followed.values[t, 0], loss=critic.loss, atoms=critic.atoms
  )
  parts = _parts(np.exp(np.asarray(log_probs)))
  return [_short(part.sum()) for part in parts]


def _parts(numbers: np.ndarray) -> list[np.ndarray]:
  """Neighbours together, so that few are left."""
  return np.array_split(numbers, min(len(numbers), _MOST_ATOMS))


def _short(number: float) -> float:
  return float(f"{number:.4g}")
