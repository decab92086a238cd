"""A wheel, installed elsewhere and used from an empty folder."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("qsharp_jax", "experiments", "launch")
# All variants in one process: what --config=NAME:VARIANT loads.
VARIANTS = """
import pathlib, re
from experiments import configs
from experiments.harness import config_flag
folder = pathlib.Path(configs.__file__).parent
for file in sorted(folder.glob("[a-z]*.py")):
  head = file.read_text().split("import ml_collections")[0]
  for variant in re.findall(r"^([a-z0-9_]+)  ", head, re.MULTILINE):
    config = config_flag._Parser("").parse(f"{file.stem}:{variant}")
    assert config.variant == variant
    print(file.stem, variant)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
  """Where the wheel's files are, and nothing else of the project."""
  source = tmp_path_factory.mktemp("source")
  for name in PACKAGES:
    shutil.copytree(
      ROOT / name,
      source / name,
      ignore=shutil.ignore_patterns("__pycache__"),
    )
  for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
    shutil.copy(ROOT / name, source)
  command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
  subprocess.run(
    [*command, "--no-build-isolation", f"--wheel-dir={source}", source],
    check=True,
  )
  (wheel,) = source.glob("*.whl")
  target = tmp_path_factory.mktemp("installed")
  zipfile.ZipFile(wheel).extractall(target)
  return target


def python(installed, folder, *arguments):
  done = subprocess.run(
    [sys.executable, *arguments],
    cwd=folder,
    env=os.environ | {"PYTHONPATH": str(installed)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""
  assert not list(folder.iterdir())
  return done.stdout


def test_holds_what_is_run_and_read(installed):
  for name in (
    *("experiments/tools/generate.py", "experiments/harness/run.py"),
    *("launch/aot/__main__.py", "launch/tpu_vm.sh", "launch/slurm.sbatch"),
    *("qsharp_jax/py.typed", "experiments/configs/gsm8k.py"),
    *(f"qsharp_jax/evaluation/page_files/page.{x}" for x in ("html", "css")),
    "qsharp_jax/evaluation/page_files/tokens.js",
  ):
    assert (installed / name).exists(), name


def test_every_variant_loads_by_name(installed, tmp_path):
  variants = python(installed, tmp_path, "-c", VARIANTS).splitlines()
  assert len(variants) >= 20
  assert {"gsm8k tiny", "star_graph g3_8", "quality local"} <= {*variants}


@pytest.mark.parametrize(
  ("arguments", "says"),
  [
    (["experiments.gsm8k"], ["--workdir: ", "--config.variant=tiny"]),
    (
      ["experiments.gsm8k", "--config=experiments/configs/gsm8k.py:local"],
      ["--config.variant=local"],
    ),
    (["experiments.generate"], ["--prompt: "]),
    (["launch.aot"], ["--topology: ", "--config.variant=llama31_8b"]),
  ],
)
def test_commands_run_from_an_empty_folder(
  arguments, says, installed, tmp_path
):
  said = python(installed, tmp_path, "-m", *arguments, "--help")
  assert all(piece in said for piece in says), said
