r"""One prompt, two answers: the reference's and the guided one, side by side.

Example, after `python -m experiments.gsm8k --workdir=runs/tiny`:
  python -m experiments.generate --workdir=runs/tiny --eta=0.1 --values \
    --prompt="Ann has 7 pens. She buys 3, loses 2 and finds 1. How many pens \
does Ann have?"

With --html=FILE it writes a page, too, that shows every token's value, what
guidance did to its probability, and the alternatives.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments.harness import casting, console, prompting, runs, wiring
from qsharp_jax import data, generate, pipeline, sharding, training
from qsharp_jax.core import files, places, seeds
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import marks, page
from qsharp_jax.generate import guided

_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/gsm8k", "A finished run of an experiment."
)
_PROMPT = flags.DEFINE_string("prompt", None, "The question.", required=True)
_METHOD = flags.DEFINE_string("method", "qsharp", "qsharp, cd, vas or fudge.")
_ETA = flags.DEFINE_float(
  "eta", 0.1, "KL weight in reward units, > 0; small is strong guidance."
)
_ROUND = flags.DEFINE_integer("round", 0, "Round of the values; 0 is the last.")
_SAMPLES = flags.DEFINE_integer("num_samples", 1, "Answers of each policy.")
_SEED = flags.DEFINE_integer("seed", 0, "Another seed, other answers.")
_EXACT_KL = flags.DEFINE_bool(
  "exact_kl", True, "Score all candidates of every token, for the exact KL."
)
_VALUES = flags.DEFINE_bool(
  "values", False, "Print the value's running estimate beside every token."
)
_HTML = flags.DEFINE_string(
  "html", "", "A file for a page that shows the answers token by token."
)


def main(argv: list[str]) -> None:
  """Prints the answers."""
  del argv
  if _ETA.value <= 0:
    raise InputError(f"eta is {_ETA.value}; expected > 0")
  guided.check(_METHOD.value)
  layout = sharding.layout.over_weights()
  with layout.context():
    run = runs.load(places.absolute(_WORKDIR.value), layout, _ROUND.value)
    num_scored = 0 if _EXACT_KL.value else run.config.sampling.num_scored
    session = _Session(
      run.players.critic,
      dataclasses.replace(run.policy(_METHOD.value), num_scored=num_scored),
      run.params,
      run.tokenizer,
      dataclasses.replace(
        wiring.sampling(run.config), batch_size=1, prompts_per_refill=1
      ),
      layout.place,
      casting.stops_of(run.config),
    )
    prompt = data.prompts.render(
      _PROMPT.value, run.tokenizer, prompting.form(run.config)
    )
    answers = session.answers(prompt)
  if _HTML.value:
    content = pipeline.tokens.form(
      run.players.critic, [{"question": _PROMPT.value, "answers": answers}]
    )
    files.replace(
      _HTML.value,
      page.render({"title": "Token by token", "tokens": content}),
    )


@dataclasses.dataclass(frozen=True)
class _Session:
  """What answers prompts, and looks at its answers."""

  critic: training.Critic
  policy: generate.Policy
  params: PyTree
  tokenizer: data.Tokenizer
  sampling: generate.Sampling
  place: Callable[[PyTree], PyTree]
  stops: tuple[str, ...]

  def answers(self, prompt: list[int]) -> list[dict[str, Any]]:
    """Prints answers of both policies; returns them as the page shows them."""
    found = []
    for name, eta in (("reference", np.inf), (_METHOD.value, _ETA.value)):
      own = seeds.of_samples(_SEED.value, prompt, _SAMPLES.value)
      request = generate.Request(prompt, own, eta)
      (answers,) = generate.generate(
        self.policy, self.params, [request], self.sampling, place=self.place
      )
      for answer in answers:
        _print(name, eta, answer, self.tokenizer, self.stops)
        if _VALUES.value:
          _print_values(
            self.critic, self.params["value"], prompt, answer, self.tokenizer
          )
        if _HTML.value:
          found.append(self._shown(name, prompt, answer))
    return found

  def _shown(
    self, name: str, prompt: list[int], answer: generate.Completion
  ) -> dict[str, Any]:
    """An answer for the page; the reference's as guidance would change it."""
    request = generate.Request(prompt, [0], _ETA.value)
    (followed,) = generate.following.follow(
      self.policy,
      self.params,
      [request],
      [answer.tokens],
      self.sampling,
      place=self.place,
    )
    by = f"{marks.name(_METHOD.value)}, eta {_ETA.value:g}"
    is_own = name != "reference"
    return {
      "label": by if is_own else f"{marks.name(name)} (guided: {by})",
      "reward": None,
      "tokens": pipeline.tokens.rows(
        self.critic, followed, self.tokenizer.decode, self.policy.eos_ids
      ),
    }


def _print(
  name: str,
  eta: float,
  answer: generate.Completion,
  tokenizer: data.Tokenizer,
  stops: tuple[str, ...],
) -> None:
  kl = float(answer.kl.sum())
  title = name if np.isinf(eta) else f"{name}, eta {eta:g}"
  cost = "no KL with --noexact_kl" if np.isnan(kl) else f"KL {kl:.3f} nats"
  print(f"--- {title} ({len(answer.tokens)} tokens, {cost})")
  print(data.stops.cut(tokenizer.decode(answer.tokens), stops))


def _print_values(
  critic: training.Critic,
  params: PyTree,
  prompt: list[int],
  answer: generate.Completion,
  tokenizer: data.Tokenizer,
) -> None:
  """Expected reward after every token, read in one teacher-forced pass."""
  tokens = np.array([[*prompt, *answer.tokens]], np.int32)
  positions = np.arange(tokens.shape[1], dtype=np.int32)[None]
  logits = jax.jit(critic.model.apply)(params, tokens, positions)
  means = np.asarray(critic.mean(logits))[0, len(prompt) :]
  for token, mean in zip(answer.tokens, means, strict=True):
    print(f"  {mean:6.3f}  {tokenizer.decode([token])!r}")


if __name__ == "__main__":
  console.run(main)
