r"""Trains a reward model on preferences: Bradley and Terry's likelihood.

  python -m experiments.reward_model --model=DIR --preferences=jsonl:FILE \
    --workdir=runs/reward_model

The preferences are pairs, dialogues or ranked answers of any form that
qsharp_jax/data/preferences.py lists. WORKDIR/model is then a sequence
classifier with one label, which transformers loads and
--config.reward=model:DIR rewards by; WORKDIR/report.json says how many held-out
preferences it agrees with. The same command again goes on where the last one
stopped.
"""

import dataclasses
import json

import jax
from absl import flags

from experiments.harness import compiling, console
from qsharp_jax import data, pipeline, sharding, training
from qsharp_jax.core import errors, files, places, seeds
from qsharp_jax.core.errors import InputError
from qsharp_jax.reward_models import bradley_terry, scoring
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.sharding import processes

_MODEL = flags.DEFINE_string(
  "model",
  None,
  "A language model, or a reward model to go on from: directory or Hub name.",
  required=True,
)
_PREFERENCES = flags.DEFINE_string(
  "preferences",
  None,
  "jsonl:PATH, parquet:PATH or hub:NAME[:CONFIG[:SPLIT]].",
  required=True,
)
_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/reward_model", "Directory for the model and its report."
)
_PAIRS = flags.DEFINE_enum(
  "pairs",
  "all",
  ["ends", "best", "all"],
  "Of ranked answers: the best and the worst, the best and each other, or all.",
)
_HAS_MARGIN = flags.DEFINE_bool(
  "has_margin", False, "The data's margins are asked of the scores."
)
_CENTRING = flags.DEFINE_float(
  "centring",
  0.0,
  "Weight of the squared sum of a pair's scores, which keeps them around 0; "
  "0.01 is usual.",
  lower_bound=0.0,
)
_HELD_OUT = flags.DEFINE_float(
  "held_out",
  0.05,
  "Share of the questions, about, that is not trained on.",
  lower_bound=0.0,
  upper_bound=0.5,
)
_LEARNING_RATE = flags.DEFINE_float(
  "learning_rate", 1e-5, "Its peak; it falls as a cosine.", lower_bound=0.0
)
_NUM_EPOCHS = flags.DEFINE_integer("num_epochs", 1, "Epochs.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer(
  "batch_size", 32, "Pairs of a step.", lower_bound=1
)
_NUM_MICROBATCHES = flags.DEFINE_integer(
  "num_microbatches", 1, "Into how many parts it is cut.", lower_bound=1
)
_MAX_LENGTH = flags.DEFINE_integer(
  "max_length", 4096, "Tokens of both texts of a pair together.", lower_bound=2
)
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of products; not of weights."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the order and what is held out.")


def main(_) -> None:
  """Reads, trains, saves, measures, prints one line."""
  layout = sharding.Layout(mesh_lib.make_mesh((1, jax.device_count(), 1)))
  how = _fit(layout)
  found = data.preferences.load(_PREFERENCES.value, choice=_PAIRS.value)
  held_out = [x for x in found if _is_held_out(x)]
  trained = [x for x in found if not _is_held_out(x)]
  if not trained:
    raise InputError(
      f"all {len(found)} preferences are held out; expected some to train on: "
      "lower --held_out"
    )
  workdir = pipeline.Workdir(_WORKDIR.value, flags_as_data())
  compiling.keep_programs(workdir.compiled)
  model = workdir.path / "model"
  stage = pipeline.stage.Stage(
    "reward_model",
    settings=pipeline.training_bindings.settings_of(dataclasses.asdict(how))
    | {
      "preferences": pipeline.contents.digest(
        [dataclasses.astuple(x) for x in trained]
      ),
      "weights of --model": workdir.weights(_MODEL.value),
      "centring": _CENTRING.value,
      "has_margin": _HAS_MARGIN.value,
      "dtype": _DTYPE.value,
    },
    outputs=[workdir.path / x for x in ("model", "checkpoints", "events")],
    is_whole=(model / "config.json").exists,
  )
  with pipeline.hold.hold(workdir.path), layout.context():
    with workdir.stages([stage]) as due:
      if due:
        _train(trained, how, layout, workdir.path)
    training.fit.forget(workdir.path)
    _report(model, layout, trained, held_out, workdir.path)


def flags_as_data() -> dict[str, object]:
  """The command's own flags, for people who look at the directory."""
  own = flags.FLAGS.flags_by_module_dict().get(__name__, [])
  return {flag.name: flag.value for flag in own}


def _fit(layout: sharding.Layout) -> training.Fit:
  """How to train, in batches that the devices can share."""
  multiple = layout.num_row_parts * _NUM_MICROBATCHES.value
  if _BATCH_SIZE.value % multiple:
    raise InputError(
      f"--batch_size is {_BATCH_SIZE.value}; expected a multiple of {multiple}:"
      f" {layout.num_row_parts} devices share its rows in "
      f"{_NUM_MICROBATCHES.value} micro-batches"
    )
  return training.Fit(
    learning_rate=_LEARNING_RATE.value,
    schedule="cosine",
    batch_size=_BATCH_SIZE.value,
    num_microbatches=_NUM_MICROBATCHES.value,
    num_epochs=_NUM_EPOCHS.value,
    max_length=_MAX_LENGTH.value,
    seed=_SEED.value,
  )


def _is_held_out(preference: data.preferences.Preference) -> bool:
  """All preferences on one question are, or none."""
  drawn = seeds.stable_seed("held out", _SEED.value, preference.question)
  return drawn < _HELD_OUT.value * 2**32


def _train(
  preferences: list[data.preferences.Preference],
  how: training.Fit,
  layout: sharding.Layout,
  directory: places.Path,
) -> None:
  rows = bradley_terry.pack(
    preferences,
    data.tokenizer.load(_MODEL.value),
    length=how.max_length,
    has_margin=_HAS_MARGIN.value,
  )
  model, params = bradley_terry.train(
    _MODEL.value,
    rows,
    how,
    layout,
    directory,
    centring=_CENTRING.value,
    dtype=_DTYPE.value,
  )
  bradley_terry.save(directory / "model", model, params, _MODEL.value)


def _report(
  model: places.Path,
  layout: sharding.Layout,
  trained: list[data.preferences.Preference],
  held_out: list[data.preferences.Preference],
  directory: places.Path,
) -> None:
  """Measures the saved model, as it will be read."""
  scorer = scoring.load(model, layout.of_host(), dtype=_DTYPE.value)
  tokenizer = data.tokenizer.load(model)
  agrees = bradley_terry.accuracy(scorer, tokenizer, held_out)
  content = {
    "num_trained": len(trained),
    "num_held_out": len(held_out),
    "held_out_accuracy": agrees if held_out else None,
  }
  if processes.is_main():
    with errors.foreign(f"cannot write {directory}", "free it"):
      files.replace(
        directory / "report.json", json.dumps(content, indent=2) + "\n"
      )
    said = f"{agrees:.4f} of {len(held_out)} held out" if held_out else "none"
    print(
      f"{len(trained)} preferences learnt; right on {said} -> "
      f"{model} (--config.reward=model:{model})"
    )


if __name__ == "__main__":
  console.run(main)
