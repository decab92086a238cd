r"""Makes a directory to share of a run's value model, or of a tuned policy.

  python -m experiments.share --workdir=runs/mine --output=my-values
  python -m experiments.share --workdir=runs/mine --model=ppo --output=my-ppo
  python -m experiments.share --workdir=runs/mine --push=me/my-values

The directory holds the weights, the tokenizer, how to sample, and a model card
with what it was trained on and the numbers of report.json. `qsharp_jax.load`
reads it; so does transformers, a V-type value model that reads no
log-probabilities as a sequence classifier. --push uploads it to the Hugging
Face Hub, with the token that `hf auth login` has stored.
"""

import pathlib
import tempfile

from absl import flags

from experiments.harness import console, sharing
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "A finished run.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "A new directory.")
_PUSH = flags.DEFINE_string(
  "push", None, "A repository of the hub, OWNER/NAME."
)
_PRIVATE = flags.DEFINE_bool("private", True, "Is a new repository private?")
_MODEL = flags.DEFINE_string(
  "model", "values", "`values`, or the name of a fine-tuned policy."
)
_ROUND = flags.DEFINE_integer("round", 0, "Round of the values; 0 is the last.")


def main(argv: list[str]) -> None:
  """Writes the directory, and uploads it where that is wanted."""
  del argv
  if not (_OUTPUT.value or _PUSH.value):
    raise InputError("nothing to do; expected --output=DIR, --push=OWNER/NAME")
  workdir = places.absolute(_WORKDIR.value)
  with tempfile.TemporaryDirectory() as folder:
    found = pathlib.Path(_OUTPUT.value or folder)
    if found.exists() and any(found.iterdir()):
      raise InputError(f"{found} is not empty; expected a new directory")
    sharing.write(workdir, found, _MODEL.value, _ROUND.value)
    if _OUTPUT.value:
      print(f"wrote {found}")
    if _PUSH.value:
      print(f"uploaded to {sharing.push(found, _PUSH.value, _PRIVATE.value)}")


if __name__ == "__main__":
  console.run(main)
