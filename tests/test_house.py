"""How the house reads: sizes of files, names, where a method or a task is."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("qsharp_jax", "experiments", "launch")

# The files in which a method or a task is read: those whose code, not prose or
# settings, says its name. Beside them stand others that build on it.
READ_IN = {
  "ppo": {
    "qsharp_jax/finetuning/methods.py",
    "qsharp_jax/finetuning/ppo.py",
    "qsharp_jax/ops/policy_gradient.py",
  },
  "dpo": {
    "qsharp_jax/finetuning/methods.py",
    "qsharp_jax/finetuning/preference.py",
    "qsharp_jax/ops/preferences.py",
  },
  "star_graph": {
    "experiments/harness/questions.py",
    "experiments/star_graph.py",
    "qsharp_jax/tasks/star_graph.py",
    "qsharp_jax/tasks/star_graph_text.py",
  },
}
BUILT_ON = {
  "ppo": {"qsharp_jax/finetuning/grpo.py"},  # its clipped loss
  "dpo": {
    "experiments/harness/aligning.py",  # an aligned baseline
    "experiments/harness/methods.py",  # dpo_q and dpo_beam
    "qsharp_jax/finetuning/ppo.py",  # RTO
  },
  "star_graph": set(),
}


def library():
  """(path, source) of all files; none of a room's face, which only lists."""
  for folder in FOLDERS:
    for path in sorted((ROOT / folder).rglob("*.py")):
      yield path.relative_to(ROOT).as_posix(), path.read_text()


def names(tree):
  """Identifiers, and whole strings that are no prose."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Name):
      yield node.id
    elif isinstance(node, ast.Attribute):
      yield node.attr
    elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.alias):
      yield node.name.rpartition(".")[2]
    elif isinstance(node, ast.arg | ast.keyword):
      yield node.arg or ""
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
      yield node.value.partition(":")[0]


def says(name, source):
  """Whether the code, and not only the prose of a file has this name."""
  wanted = {name, f"_{name}", name.replace("_", "")}
  parts = {f"{name}_text", f"{name}s".replace("_", "")}
  return any(
    found.lower() in wanted | parts for found in names(ast.parse(source))
  )


@pytest.mark.parametrize("name", READ_IN)
def test_a_method_or_a_task_is_read_in_few_files(name):
  found = {
    path
    for path, source in library()
    if says(name, source)
    and not path.endswith("__init__.py")
    and not path.startswith("experiments/configs/")
  }
  assert found == READ_IN[name] | BUILT_ON[name]
  assert len(READ_IN[name]) <= 4


def test_a_name_in_prose_does_not_count():
  assert not says("dpo", '"""As DPO does."""\nx = 1  # dpo\n')
  assert says("dpo", "losses = {'dpo': None}") and says("ppo", "ops.ppo(x)")
  assert says("star_graph", "from tasks import star_graph_text as t")


def test_files_are_short():
  assert not [path for path, text in library() if text.count("\n") > 300]


def test_what_has_a_name_is_defined_and_not_a_lambda():
  sources = [source for _, source in library()]
  nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
  num_lines = sum(source.count("\n") for source in sources)
  num_lambdas = sum(isinstance(node, ast.Lambda) for node in nodes)
  assert num_lambdas <= 3e-3 * num_lines


def test_bodies_are_short():
  sizes = []
  for _, source in library():
    for node in ast.walk(ast.parse(source)):
      if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        is_documented = ast.get_docstring(node) and len(node.body) > 1
        first = node.body[1 if is_documented else 0]
        sizes.append(node.end_lineno - first.lineno + 1)
  assert sum(size > 30 for size in sizes) < 0.025 * len(sizes)


def way_of_a_question():
  """The files that WORKSPACE.md lists, in order."""
  text = (ROOT / "WORKSPACE.md").read_text()
  section = text.partition("## A question's way to report.json")[2]
  rows = section.partition("\n## ")[0].splitlines()
  return [row.split("`")[1] for row in rows if row.startswith("| `")]


def test_the_way_of_a_question_is_short_and_there():
  found = way_of_a_question()
  assert found[0].startswith("qsharp_jax/tasks/")
  assert found[-1] == "qsharp_jax/evaluation/report.py"
  assert 10 < len(found) <= 22 and len(set(found)) == len(found)
  assert all((ROOT / path).is_file() for path in found)
