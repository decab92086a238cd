"""Commands that tests import live in one process, and so do their flags."""

import ast
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
# What `command.Command` defines.
SHARED = {"config", "workdir", "dry_run"}


def commands(source):
  """Modules of commands that a test file imports as it is collected."""
  for node in ast.parse(source).body:
    if isinstance(node, ast.ImportFrom) and node.module:
      for name in node.names:
        yield f"{node.module}.{name.name}"


def flags(module):
  """Names of the flags that importing a module defines."""
  path = ROOT / (module.replace(".", "/") + ".py")
  if not module.startswith(("experiments.", "launch.")) or not path.exists():
    return set()
  source = path.read_text()
  found = set(
    re.findall(r'^_\w+ = flags\.DEFINE_\w+\(\s*"(\w+)"', source, re.M)
  )
  return found | (SHARED if "= command.Command(" in source else set())


def clashes(sources):
  """Flags that more than one of the imported modules defines."""
  modules = {module for source in sources for module in commands(source)}
  owners = collections.defaultdict(set)
  for module in modules:
    for flag in flags(module):
      owners[flag].add(module)
  return {flag: names for flag, names in owners.items() if len(names) > 1}


def test_no_two_imported_commands_define_one_flag():
  paths = (ROOT / "tests").rglob("test_*.py")
  assert not clashes(path.read_text() for path in paths)


def test_a_clash_would_be_seen():
  both = ["from launch import gke", "from experiments import gsm8k"]
  assert clashes(both) == {
    "dry_run": {"launch.gke", "experiments.gsm8k"},
  }
  assert not clashes([both[0], f"def test():\n  {both[1]}"])
