"""Rooms import only from lower layers, modules in no circle; house rules."""

import ast
import graphlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
RANKS = {
  "core": 0,
  "ops": 1,
  "models": 1,
  "sharding": 1,
  "rewards": 1,
  "data": 1,
  "tasks": 2,
  "checkpoint": 2,
  "generate": 2,
  "tabular": 2,
  "rollout": 3,
  "training": 3,
  "evaluation": 3,
  "serving": 3,
  "pipeline": 4,
  "reward_models": 4,
  "finetuning": 5,
  "guide": 5,
}
ABOVE = {"experiments": 6, "launch": 7}
# Modules beside the rooms, and what may be imported from the package itself.
BELOW_ALL = {"version"}
VAGUE_NAMES = {"utils", "util", "helpers", "common", "misc"}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib"}


def imports(tree):
  """Yields (line, dotted name) of every import, wherever it stands."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield node.lineno, alias.name
    elif isinstance(node, ast.ImportFrom):
      module = "." * node.level + (node.module or "")
      for alias in node.names:
        yield node.lineno, f"{module}.{alias.name}"


def attributes(tree):
  """Yields (line, dotted name) of every attribute chain on a plain name."""
  for node in ast.walk(tree):
    names, link = [], node
    while isinstance(link, ast.Attribute):
      names.append(link.attr)
      link = link.value
    if names and isinstance(link, ast.Name):
      yield node.lineno, ".".join([link.id, *reversed(names)])


def layer(parts):
  """(name, rank) of the room of a dotted name or path, None if foreign."""
  if parts[0] in ABOVE:
    return parts[0], ABOVE[parts[0]]
  if parts[0] != "qsharp_jax" or len(parts) < 2 or parts[1] in BELOW_ALL:
    return None
  # An unknown room must be given a rank here before it can be imported.
  return parts[1], RANKS.get(parts[1], max(RANKS.values()) + 1)


def layer_faults(tree, parts):
  """Imports of an equal or higher layer. `parts` is the file's own path."""
  # Importing any room runs the package's own file first: it lies below all.
  own = layer([p for p in parts if p != "__init__"]) or ("the package", -1)
  for line, name in imports(tree):
    if name.startswith("."):
      yield line, f"relative import {name}"
      continue
    other = layer(name.split("."))
    if other and other[0] != own[0] and other[1] >= own[1]:
      yield line, f"{own[0]} (layer {own[1]}) imports {name} ({other[1]})"


def house_faults(tree, parts):
  """What library code never does: environment, jax's settings, pickle."""
  if VAGUE_NAMES & set(parts):
    yield 1, f"vague name {'/'.join(parts)}"
  for line, name in imports(tree):
    if name.split(".")[0] in PICKLES:
      yield line, f"import of {name}"
  for line, name in [*imports(tree), *attributes(tree)]:
    if name.startswith(("os.environ", "os.getenv", "os.putenv")):
      yield line, f"environment: {name}"
    if name == "jax.config" or name.startswith("jax.config."):
      yield line, f"settings of jax: {name}"


def faults(source, path, *rules):
  """Lines `path:line: fault` for a source text at a path below the root."""
  tree = ast.parse(source)
  parts = pathlib.PurePath(path).with_suffix("").parts
  found = {(line, text) for rule in rules for line, text in rule(tree, parts)}
  return [f"{path}:{line}: {text}" for line, text in sorted(found)]


def module_name(path):
  """The dotted name of a file; a package's is that of its `__init__`."""
  parts = pathlib.PurePath(path).with_suffix("").parts
  return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circle(files):
  """Names of modules that import one another in a circle, empty without one.

  A module needs the modules that it names, and a package where it takes a name
  out of the package's own file. That importing a module runs the files of the
  packages around it is no need of that module, or every room would be a circle.

  Args:
    files: pairs of path and source text.
  """
  trees = {module_name(path): ast.parse(source) for path, source in files}
  graph = {
    name: {
      next(part for part in (full, full.rpartition(".")[0]) if part in trees)
      for _, full in imports(tree)
      if full in trees or full.rpartition(".")[0] in trees
    }
    for name, tree in trees.items()
  }
  try:
    graphlib.TopologicalSorter(graph).prepare()
  except graphlib.CycleError as error:
    return error.args[1]
  return []


def sources(*folders):
  for folder in folders:
    for path in sorted((ROOT / folder).rglob("*.py")):
      yield str(path.relative_to(ROOT)), path.read_text()


def test_everything_in_the_package_has_a_rank():
  paths = (ROOT / "qsharp_jax").iterdir()
  names = {p.stem for p in paths if p.suffix == ".py" or any(p.rglob("*.py"))}
  assert names - {"__init__"} <= set(RANKS) | BELOW_ALL


def test_imports_go_to_lower_layers_only():
  found = [
    fault
    for path, source in sources("qsharp_jax", "experiments", "launch")
    for fault in faults(source, path, layer_faults)
  ]
  assert not found, "\n".join(found)


def test_no_modules_import_one_another_in_a_circle():
  found = circle(sources("qsharp_jax", "experiments", "launch"))
  assert not found, " <- ".join(found)


def test_library_code_keeps_the_house_rules():
  found = [
    fault
    for path, source in sources("qsharp_jax")
    for fault in faults(source, path, house_faults)
  ]
  assert not found, "\n".join(found)


def test_the_files_are_found():
  paths = [path for path, _ in sources("qsharp_jax", "experiments", "launch")]
  assert len(paths) > 30 and "qsharp_jax/core/errors.py" in paths


@pytest.mark.parametrize(
  "path, line",
  [
    ("qsharp_jax/ops/distributions.py", "from qsharp_jax import models"),
    ("qsharp_jax/ops/distributions.py", "from qsharp_jax.models import rope"),
    ("qsharp_jax/ops/distributions.py", "import qsharp_jax.training.step"),
    ("qsharp_jax/core/arrays.py", "from qsharp_jax.ops import distributions"),
    ("qsharp_jax/pipeline/rounds.py", "from experiments import gsm8k"),
    ("qsharp_jax/pipeline/rounds.py", "import launch"),
    ("qsharp_jax/rollout/store.py", "from qsharp_jax.training import step"),
    ("qsharp_jax/rollout/store.py", "from qsharp_jax.unknown import thing"),
    ("qsharp_jax/__init__.py", "from qsharp_jax import ops"),
    ("experiments/gsm8k.py", "from launch import slurm"),
    ("qsharp_jax/ops/distributions.py", "from . import kl"),
    (
      "qsharp_jax/ops/distributions.py",
      "def f():\n  from qsharp_jax import data",
    ),
  ],
)
def test_forbidden_import_is_named_with_file_and_line(path, line):
  source = f"import jax\n{line}\n"
  (fault,) = faults(source, path, layer_faults)
  assert fault.startswith(f"{path}:{2 + line.count(chr(10))}: ")


FACE = "from qsharp_jax.data import a, b\nfrom qsharp_jax.data.a import A\n"


@pytest.mark.parametrize(
  ("a", "b"),
  [
    ("from qsharp_jax.data import b", "from qsharp_jax.data import a"),
    ("import qsharp_jax.data.b", "from qsharp_jax.data.a import A"),
    ("from qsharp_jax.data import b", "def f():\n  import qsharp_jax.data.a"),
    # A name out of the room's own file, which imports the room's modules.
    ("", "from qsharp_jax.data import A"),
    ("from qsharp_jax import data", ""),
  ],
)
def test_a_circle_inside_a_room_is_found(a, b):
  files = {"__init__": FACE, "a": a, "b": b}
  found = circle((f"qsharp_jax/data/{k}.py", v) for k, v in files.items())
  assert len(found) >= 3 and found[0] == found[-1]
  assert all(name.startswith("qsharp_jax.data") for name in found)


def test_modules_of_a_room_may_import_one_another():
  files = {
    "__init__": FACE,
    "a": "import jax\nfrom qsharp_jax.core.errors import InputError",
    "b": "from qsharp_jax.data import a\nfrom qsharp_jax.data.a import A",
  }
  assert not circle((f"qsharp_jax/data/{k}.py", v) for k, v in files.items())


@pytest.mark.parametrize(
  "path, line",
  [
    (
      "qsharp_jax/ops/distributions.py",
      "from qsharp_jax.core.errors import InputError",
    ),
    ("qsharp_jax/ops/distributions.py", "from qsharp_jax.ops import kl"),
    ("qsharp_jax/training/step.py", "from qsharp_jax import models"),
    ("qsharp_jax/__init__.py", "from qsharp_jax.version import __version__"),
    ("experiments/gsm8k.py", "from qsharp_jax import pipeline"),
    ("launch/slurm.py", "from experiments import gsm8k"),
  ],
)
def test_allowed_import_passes(path, line):
  assert not faults(line, path, layer_faults)


@pytest.mark.parametrize(
  "path, line",
  [
    ("qsharp_jax/ops/distributions.py", "os.environ['A'] = '1'"),
    ("qsharp_jax/ops/distributions.py", "from os import environ"),
    ("qsharp_jax/ops/distributions.py", "x = os.getenv('A')"),
    (
      "qsharp_jax/ops/distributions.py",
      "jax.config.update('jax_enable_x64', True)",
    ),
    ("qsharp_jax/ops/distributions.py", "from jax import config"),
    ("qsharp_jax/ops/distributions.py", "import pickle"),
    ("qsharp_jax/ops/distributions.py", "from pickle import loads"),
    ("qsharp_jax/ops/utils.py", ""),
    ("qsharp_jax/common/distributions.py", ""),
  ],
)
def test_broken_house_rule_is_found(path, line):
  found = faults(line, path, house_faults)
  assert found and all(fault.startswith(f"{path}:1: ") for fault in found)
