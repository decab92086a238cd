"""Finished runs, as tools read them."""

import dataclasses

import ml_collections

from experiments.harness import casting, compiling, starts
from qsharp_jax import data, generate, pipeline, sharding
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import files, places
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A finished run's models, ready to sample."""

  config: ml_collections.ConfigDict
  tokenizer: data.Tokenizer
  players: pipeline.Players
  params: PyTree  # of the reference, and of a round's values

  def policy(self, method: str) -> generate.Policy:
    """The reference guided by the values, by one of `guided.BY_VALUES`."""
    guidance = self.players.critic.guidance(method)
    return dataclasses.replace(self.players.policy, guidance=guidance)


def load(
  workdir: places.Path,
  where: sharding.Layout,
  index: int = 0,
  *,
  own: ml_collections.ConfigDict | None = None,
) -> Loaded:
  """Loads a finished run; call it, and what samples, within `where.context()`.

  Args:
    workdir: of the run; compiled programs are kept beside it.
    where: on which devices.
    index: of the round of the values; 0 is the last.
    own: what `config` returned for this run, if it was read before.

  Raises:
    InputError: no such run, or no such round.
  """
  if own is None:
    own = config(workdir)
  compiling.keep_programs(workdir.parent / "compiled")
  tokenizer = data.tokenizer.load(own.reference)
  players = casting.players(own, tokenizer, where)
  _, _, values = huggingface.load_value_model(
    pipeline.RunPaths(workdir).value(index or own.rounds.num_rounds),
    dtype=own.dtype,
    param_dtype=own.dtype,
    shardings=where.for_decoding(players.critic.model),
  )
  params = {"reference": players.reference_params, "value": values}
  return Loaded(own, tokenizer, players, params)


def config(workdir: places.Path) -> ml_collections.ConfigDict:
  """The configuration that a run was made with.

  Raises:
    InputError: there is no run.
  """
  file = workdir / "config.json"
  with places.reached(workdir):
    is_run = file.exists()
  if not is_run:
    raise InputError(
      f"{workdir} holds no run; expected the --workdir of an experiment"
    )
  found = ml_collections.ConfigDict(files.read_json_object(file))
  paths = pipeline.RunPaths(workdir)
  if paths.support.exists():
    found.value.update(
      dict(zip(("v_min", "v_max"), pipeline.support.read(paths), strict=True))
    )
  return starts.resolved(found, paths)
