"""What lies in the directory of a miniature run."""

import jax

from qsharp_jax.checkpoint import huggingface
from qsharp_jax.rollout import store

# Pages of answers and their verification follow whatever was sampled.
FOLLOWING = ("tokens", "verify", "verified")


def read(directory, round_index):
  return store.read(directory / "run" / f"round_{round_index}" / "rollouts")


def marks(directory):
  """Name and content of every stage's mark."""
  files = (directory / "run" / "stages").iterdir()
  return {file.stem: file.read_bytes() for file in files}


def saved(run, source):
  """A value model as training starts from it."""
  _, _, params = huggingface.load_value_model(
    source,
    head=run.players.critic.model.head,
    q_head="zeros",
    shardings=run.layout.for_training(run.players.critic.model),
  )
  return jax.device_get(params)


def content(directory):
  """Every file of the run by its path: its bytes and, of marks, its time."""
  return {
    path.relative_to(directory): (
      path.read_bytes(),
      path.parent.name == "stages" and path.stat().st_mtime_ns,
    )
    for path in (directory / "run").rglob("*")
    if path.is_file() and not path.name.startswith(("events", "report"))
  }


def changed(before, directory):
  """The stages and folders in which a file is another or new."""
  after = content(directory)
  paths = [path for path in after if before.get(path) != after[path]]
  found = {"/".join(path.with_suffix("").parts[1:3]) for path in paths}
  return {name for name in found if not name.endswith(FOLLOWING)}
