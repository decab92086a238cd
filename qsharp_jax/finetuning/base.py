"""Policies tuned on the same task: what guidance is compared with.

One trainer, `fit_lib.fit`; a method is an objective and where its batches come
from (`recipes`). Offline methods learn from the rollouts of round 1.
"""

import dataclasses
import pathlib
import shutil

from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.finetuning import preferences, recipes, tuning
from qsharp_jax.pipeline import bindings
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import fit as fit_lib

_TOKENIZER_FILES = (
  "tokenizer*",
  "special_tokens_map.json",
  "vocab.json",
  "merges.txt",
  "*.jinja",
  "*.model",
)


def train(
  run: run_lib.Run,
  name: str,
  how: tuning.How,
  *,
  reference: str,
  gold: preferences.Gold | None = None,
) -> pathlib.Path:
  """Tunes the reference; a second call goes on, or finds it done.

  Args:
    run: a run whose round 1 is collected.
    name: of the baseline, for its stage and directory.
    how: hyper-parameters; their kind is the method, see `tuning`.
    reference: directory or hub id of the run's reference: where training
      starts, and whose tokenizer is copied.
    gold: gold answers, which the methods on pairs then prefer to samples.

  Returns:
    A Hugging Face directory of the policy, which can be the reference of
    another run.

  Raises:
    InputError: the rollouts have nothing to teach.
  """
  job = recipes.Job(run, reference, run.workdir.path / "baselines" / name, gold)
  if isinstance(how, tuning.RTO):
    dpo = train(run, "dpo", how.dpo, reference=reference, gold=gold)
    job = dataclasses.replace(job, dpo=dpo)
  model = job.directory / "model"
  first = ("dpo",) if isinstance(how, tuning.RTO) else ()
  stage = bindings.tune(run, name, how, job.directory, first=first)
  with run.workdir.stages([stage]) as due:
    if due:
      objective, params, batches = recipes.recipe(how, job)
      params = fit_lib.fit(
        objective, params, batches, how.fit, run.layout, job.directory
      )
      has_critic = isinstance(how, tuning.PPO)
      _save(job, params["policy"] if has_critic else params, model)
  fit_lib.forget(job.directory)
  return model


def _save(job: recipes.Job, params: PyTree, model: pathlib.Path) -> None:
  """Writes a policy, with everything but the weights from the reference."""
  raw = huggingface.read_config(job.reference)
  huggingface.save_language_model(
    model,
    job.model.config,
    params,
    raw["model_type"],
    token_ids=huggingface.token_ids(job.reference),
  )
  if not processes.is_main():
    return
  source = huggingface.resolve(job.reference)
  for pattern in _TOKENIZER_FILES:
    for file in source.glob(pattern):
      shutil.copyfile(file, model / file.name)
  huggingface.seal(model)
