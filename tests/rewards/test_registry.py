import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import graders, registry


@pytest.fixture
def user_module(tmp_path, monkeypatch):
  code = "answer = 42\ndef length(prediction, gold): return len(prediction)\n"
  (tmp_path / "registry_user.py").write_text(code)
  (tmp_path / "registry_broken.py").write_text("import nowhere_to_be_found\n")
  (tmp_path / "registry_syntax.py").write_text("def f(:\n")
  monkeypatch.syspath_prepend(tmp_path)


def test_names():
  assert registry.resolve("strict") is graders.strict
  assert registry.resolve("flexible") is graders.flexible
  assert registry.resolve("boxed") is graders.boxed
  assert registry.resolve("path") is graders.path
  assert registry.resolve("choice") is graders.choice


def test_dotted_path(user_module):
  assert registry.resolve("registry_user:length")("abc", "") == 3


@pytest.mark.parametrize(
  "name, says",
  [
    ("exact", "one of boxed, choice, "),
    ("registry_user.length", "package.module:function"),
    ("registry_user:", "package.module:function"),
    (":length", "package.module:function"),
    ("", "unknown reward"),
    ("registry_missing:f", "registry_missing"),
    ("registry_broken:f", "nowhere_to_be_found"),
    ("registry_syntax:f", "SyntaxError"),
    ("registry_user:width", "no 'width'"),
    ("registry_user:answer", "of type int"),
    ("__main__:f", "module of its own"),
    ("..relative:f", "does not import"),
  ],
)
def test_refusals_are_one_line_and_say_why(user_module, name, says):
  with pytest.raises(InputError, match="reward") as caught:
    registry.resolve(name)
  assert says in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_named_grader_has_bounds():
  found = registry.traits_of("strict", graders.strict)
  assert found == registry.Traits(bounds=(0.0, 1.0))


def test_a_function_says_of_itself_what_it_takes(user_module):
  function = registry.resolve("registry_user:length")
  plain = registry.traits_of("registry_user:length", function)
  assert not plain.is_batched and not plain.takes_prompt
  assert plain.bounds is None and len(plain.source) == 32

  @registry.declare(is_batched=True, bounds=(-1, 2))
  def batched(predictions, answers, *, prompt):
    return [0.0 for _ in predictions]

  found = registry.traits_of("m:batched", batched)
  assert found.is_batched and found.takes_prompt
  assert found.bounds == (-1.0, 2.0)


def test_another_source_has_another_digest(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(tmp_path)
  path = tmp_path / "registry_mended.py"
  path.write_text("def length(prediction, gold): return len(prediction)\n")
  name = "registry_mended:length"
  before = registry.traits_of(name, registry.resolve(name)).source
  path.write_text(path.read_text() + "# mended\n")
  assert registry.traits_of(name, registry.resolve(name)).source != before


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (0, float("inf"))])
def test_bounds_are_two_rising_numbers(bounds):
  with pytest.raises(InputError, match="smaller first"):
    registry.declare(bounds=bounds)
