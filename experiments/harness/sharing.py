"""What of a finished run is shared: a directory, and an upload of it."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from qsharp_jax import pipeline
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import errors, files, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import model_card


def write(
  workdir: places.Path, output: pathlib.Path, name: str, round_index: int
) -> None:
  """Writes what is shared of a finished run.

  Args:
    workdir: of the run.
    output: a new or empty directory.
    name: `values`, or a fine-tuned policy.
    round_index: of the values; 0: the last.
  """
  config = files.read_json_object(workdir / "config.json")
  report = files.read_json_object(workdir / "report.json")
  is_values = name == "values"
  with errors.foreign(
    f"{workdir} has a config.json or report.json that no run wrote",
    "run its experiment's command again",
  ):
    last = round_index or int(config["rounds"]["num_rounds"])
    sampling = _generation(config)
    card = model_card.card(
      None if is_values else name,
      _facts(config),
      [row for row in report["rows"] if _is_own(row, name, last)],
      question="How many pens does Ann have?",
    ).encode()
  paths = pipeline.RunPaths(workdir)
  source = paths.value(last) if is_values else paths.baseline(name) / "model"
  if not (source / "config.json").exists():
    raise InputError(
      f"{source} holds no model; expected --model=values or one of "
      f"{_policies(workdir)}, of a finished run"
    )
  own = json.dumps(sampling | huggingface.token_ids(source), indent=2)
  output.mkdir(parents=True, exist_ok=True)
  for file in places.local(source).iterdir():
    shutil.copyfile(file, output / file.name)

  def describe(folder: pathlib.Path) -> None:
    (folder / "generation_config.json").write_text(own + "\n")
    (folder / "README.md").write_bytes(card)

  huggingface.seal(output, describe)


def push(folder: pathlib.Path, repository: str, is_private: bool) -> str:
  """Uploads a directory to the hub; returns its address."""
  import huggingface_hub  # slow to import and only needed here

  hub = huggingface_hub.HfApi()
  made = hub.create_repo(repository, private=is_private, exist_ok=True)
  hub.upload_folder(repo_id=made.repo_id, folder_path=str(folder))
  return str(made)


def _policies(workdir: places.Path) -> str:
  """Names of the policies that a run has."""
  folder = workdir / "baselines"
  names = sorted(x.name for x in folder.iterdir()) if folder.exists() else []
  return ", ".join(names) or "no policy"


def _is_own(row: Mapping[str, Any], name: str, round_index: int) -> bool:
  """Whether a row of the report is about the model, or the reference."""
  if row["method"] == "reference":
    return True
  if name == "values":
    return row["round"] == round_index
  return row["method"] == name


def _generation(config: Mapping[str, Any]) -> dict[str, Any]:
  """How the run sampled, in transformers' words."""
  own = config["sampling"]
  return {
    "do_sample": True,
    "temperature": own["temperature"],
    "top_p": own["top_p"],
    "top_k": 0,
    "max_new_tokens": own["max_new_tokens"],
  }


def _facts(config: Mapping[str, Any]) -> dict[str, Any]:
  """What a model was trained on, of a run's configuration.

  A reference that the run itself trained has no name that others know.
  """
  rounds = config["rounds"]
  return {
    "reference": config["reference"] or "REFERENCE_DIR",
    "questions": config["data"]["source"],
    "reward": config["reward"],
    "rounds": rounds["num_rounds"],
    "samples a question and round": rounds["num_samples"],
    "seed": config["seed"],
  }
