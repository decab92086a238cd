"""Finished runs, as tools read them."""

import ml_collections

from experiments.harness import starts
from qsharp_jax import pipeline
from qsharp_jax.core import files, places
from qsharp_jax.core.errors import InputError


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
