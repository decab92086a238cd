r"""One prompt, two answers: the reference's and the guided one, side by side.

Example, after `python -m experiments.gsm8k --workdir=runs/tiny`:
  python -m experiments.generate --workdir=runs/tiny --eta=0.1 --values \
    --prompt="Ann has 7 pens. She buys 3, loses 2 and finds 1. How many pens \
does Ann have?"
"""

import dataclasses

import jax
import ml_collections
import numpy as np
from absl import flags

from experiments.harness import (
  compiling,
  console,
  methods,
  prompting,
  starts,
  wiring,
)
from qsharp_jax import data, generate, pipeline, sharding, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import files, places, seeds
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding import mesh as mesh_lib

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
  "exact_kl", False, "Score all candidates of every token, for the exact KL."
)
_VALUES = flags.DEFINE_bool(
  "values", False, "Print the value's running estimate beside every token."
)


def main(argv: list[str]) -> None:
  """Prints the answers."""
  del argv
  if _ETA.value <= 0:
    raise InputError(f"eta is {_ETA.value}; expected > 0")
  methods.check_guided(_METHOD.value)
  workdir = places.absolute(_WORKDIR.value)
  config = _config(workdir)
  compiling.keep_programs(workdir.parent / "compiled")
  # One prompt has no rows to share, so all devices share the weights.
  layout = sharding.Layout(mesh_lib.make_mesh((1, 1, jax.device_count())))
  with layout.context():
    tokenizer = data.tokenizer.load(config.reference)
    players = wiring.players(config, tokenizer, layout)
    last = _ROUND.value or config.rounds.num_rounds
    values = huggingface.load_value_model(
      pipeline.RunPaths(workdir).value(last),
      dtype=config.dtype,
      param_dtype=config.dtype,
      shardings=layout.for_decoding(players.critic.model),
    )[2]
    params = {"reference": players.reference_params, "value": values}
    num_scored = 0 if _EXACT_KL.value else config.sampling.num_scored
    policy = dataclasses.replace(
      players.policy,
      num_scored=num_scored,
      guidance=methods.select(players.critic, _METHOD.value),
    )
    prompt = data.prompts.render(
      _PROMPT.value, tokenizer, prompting.form(config)
    )
    for name, eta in (("reference", float("inf")), (_METHOD.value, _ETA.value)):
      request = generate.Request(prompt, _seeds(), eta)
      sampling = dataclasses.replace(
        wiring.sampling(config), batch_size=1, prompts_per_refill=1
      )
      (answers,) = generate.generate(
        policy, params, [request], sampling, place=layout.place
      )
      for answer in answers:
        _print(name, eta, answer, tokenizer, wiring.stops_of(config))
        if _VALUES.value:
          _print_values(players.critic, values, prompt, answer, tokenizer)


def _config(workdir: places.Path) -> ml_collections.ConfigDict:
  """The configuration that a run was made with."""
  file = workdir / "config.json"
  with places.reached(workdir):
    is_run = file.exists()
  if not is_run:
    raise InputError(
      f"{workdir} holds no run; expected the --workdir of an experiment"
    )
  config = ml_collections.ConfigDict(files.read_json_object(file))
  paths = pipeline.RunPaths(workdir)
  if paths.support.exists():
    config.value.update(
      dict(zip(("v_min", "v_max"), pipeline.support.read(paths), strict=True))
    )
  return starts.resolved(config, paths)


def _seeds() -> list[int]:
  return [
    seeds.stable_seed("generate", _SEED.value, i) for i in range(_SAMPLES.value)
  ]


def _print(
  name: str,
  eta: float,
  answer: generate.Completion,
  tokenizer: data.Tokenizer,
  stops: tuple[str, ...],
) -> None:
  kl = float(answer.kl.sum())
  title = name if np.isinf(eta) else f"{name}, eta {eta:g}"
  cost = "KL only with --exact_kl" if np.isnan(kl) else f"KL {kl:.3f} nats"
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
