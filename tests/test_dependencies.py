"""What the packages import is what setup.cfg installs: nothing by accident."""

import ast
import configparser
import importlib.metadata
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OURS = ("qsharp_jax", "experiments", "launch")
# Distributions whose module goes by another name.
MODULES = {"absl-py": "absl", "math-verify": "math_verify", "pyyaml": "yaml"}
MODULES |= {"etils[epath]": "etils", "orbax-checkpoint": "orbax"}


def imported(source):
  """First names of all modules that a source text imports."""
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
      yield node.module.partition(".")[0]


def named(section, option):
  """Modules of the distributions that an option of setup.cfg lists."""
  config = configparser.ConfigParser(interpolation=None)
  config.read(ROOT / "setup.cfg")
  for line in config[section][option].split("\n"):
    if not line.strip():
      continue
    name = re.match(r"[\w.\[\]-]+", line.strip())[0].lower()
    yield MODULES.get(name, name.replace("-", "_"))


def test_every_import_is_named():
  known = set(named("options", "install_requires"))
  for extra in ("serve", "tfds"):  # `tensorflow_datasets`
    known |= set(named("options.extras_require", extra))
  known = {name.lower() for name in known} | set(OURS)
  missing = {
    f"{path.relative_to(ROOT)}: {name}"
    for room in OURS
    for path in sorted((ROOT / room).rglob("*.py"))
    for name in imported(path.read_text())
    if name not in sys.stdlib_module_names and name.lower() not in known
  }
  assert not missing, "\n".join(sorted(missing))


# transformers asks for it only when a chat template is used.
@pytest.mark.parametrize("name", ["jinja2"])
def test_what_libraries_import_late_is_named_too(name):
  assert name in set(named("options", "install_requires"))
  assert importlib.metadata.version(name)


def test_an_import_without_a_name_would_be_seen():
  source = "import os\ndef f():\n  from sympy.core import Symbol\nimport a.b"
  assert set(imported(source)) == {"os", "sympy", "a"}
