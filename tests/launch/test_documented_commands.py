"""What README.md and docs/pods.md say to run fits, by the TPU's compiler.

Each command takes ten minutes of CPU:

  python -m pytest -n0 -m slow tests/launch/test_documented_commands.py
"""

import importlib.util
import pathlib
import re
import shlex

import pytest
from test_aot import aot

ROOT = pathlib.Path(__file__).parents[2]
# Cloud TPU's names for slices, which docs/pods.md explains.
TOPOLOGIES = {"v5litepod-8": "v5e:2x4", "v5p-32": "v5p:2x2x4"}


def commands(page):
  """Arguments of `launch.aot` in a page: its own, and those of the runs."""
  text = (ROOT / page).read_text().replace("\\\n", " ")
  found = re.findall(r"python -m launch\.aot (.*)", text)
  # A run stands in a variable; the slice stands behind it.
  for run, slice_type in re.findall(
    r'run="experiments\.\w+ (.*?)".*?--type=(\S+)', text, re.S
  ):
    found.append(f"--topology={TOPOLOGIES[slice_type]} {run}")
  return [
    [x for x in shlex.split(line) if not x.startswith("--workdir")]
    for line in found
  ]


PAGES = ("README.md", "docs/pods.md")
ALL = [argv for page in PAGES for argv in commands(page)]


def test_every_command_is_found():
  assert len(ALL) == 4
  topologies = [next(x for x in argv if "topology" in x) for argv in ALL]
  assert topologies == [
    *["--topology=v5e:2x4"] * 3,
    "--topology=v5p:2x2x4",
  ]
  assert all(any("gsm8k" in word for word in argv) for argv in ALL)


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None,
  reason="the TPU compiler, libtpu, is not installed (extra tpu)",
)
@pytest.mark.parametrize("argv", ALL, ids=" ".join)
def test_it_fits(argv):
  done = aot(*argv)
  assert done.returncode == 0, done.stdout + done.stderr
  assert "fits" in done.stdout and "DOES NOT FIT" not in done.stdout
