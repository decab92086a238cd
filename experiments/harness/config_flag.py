"""The flag --config: a variant by name or by file, and its fields."""

import difflib
import pathlib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections.config_flags import config_flags

from experiments import configs
from experiments.harness import form
from qsharp_jax.core import errors, places
from qsharp_jax.core.errors import InputError

flags.disclaim_key_flags()  # --config belongs to the module that defines it

_CONFIGS = pathlib.Path(configs.__file__).parent
_FIELD = re.compile(r"--?(?:no)?config\.([^=]+)")
_MISSING = object()
# Sections whose fields are not all in every variant, and how one is written.
_OPEN = {
  "baselines": "{'dpo': {'eta': 0.1}}",
  "data.template_kwargs": "{'enable_thinking': False}",
}


def define(default: str, help_string: str = "") -> flags.FlagHolder:
  """Defines --config.

  Args:
    default: NAME:VARIANT of `experiments/configs`, used where the command line
      has no --config; "" where there is none.
    help_string: Further sentences for --help.
  """
  holder = config_flags.DEFINE_config_file(
    "config",
    None,
    "NAME:VARIANT of experiments/configs, or FILE:VARIANT. Single fields are "
    "set by --config.section.field=value; --help lists those of the chosen "
    f"variant. {help_string}",
  )
  flag = flags.FLAGS["config"]
  flag.parser, flag.default_as_str = _Parser(default), repr(default)
  return holder


def complete(argv: Sequence[str]) -> list[str]:
  """The command line with flag files read and --config in it."""
  argv = flags.FLAGS.read_flags_from_files(argv, force_gnu=False)
  parser = flags.FLAGS["config"].parser if "config" in flags.FLAGS else None
  if not isinstance(parser, _Parser):
    return argv
  for word in argv[1:]:
    if word == "--":
      break
    if re.match(r"--?config(=|$)", word):
      return argv
  if not parser.default:
    return argv
  # Parsed at its definition, a default would fail while modules are imported.
  return [argv[0], f"--config={parser.default}", *argv[1:]]


def file() -> pathlib.Path:
  """The file that --config names."""
  parser = flags.FLAGS["config"].parser
  assert isinstance(parser, _Parser)
  return parser.file


def fields(config: ml_collections.ConfigDict) -> list[str]:
  """All fields as they are written on a command line."""
  return [f"--config.{name}={value}" for name, value in _leaves(config, "")]


class _Parser(config_flags.ConfigFileFlagParser):
  """Finds the file of a name, and refuses fields that the config lacks."""

  def __init__(self, default: str):
    super().__init__("config")
    self.default = default
    self.file = pathlib.Path()

  def parse(self, path: str) -> ml_collections.ConfigDict:
    name, colon, variant = path.partition(":")
    self.file = _file(name).resolve()
    try:
      config = super().parse(f"{self.file}{colon}{variant}")
    except (flags.Error, InputError, AttributeError, KeyboardInterrupt):
      raise
    except BaseException as error:  # a user's file may do anything, exit too
      place = _place(error, self.file)
      raise InputError(
        f"--config: {place}: {type(error).__name__}: {errors.reason(error)}; "
        "mend the file"
      ) from error
    try:  # an OSError while it loads is kept until the config is used
      getattr(config, "lock", None)
    except OSError as error:
      raise InputError(f"--config does not load: {error}") from error
    form.check_plain(config)
    _check_fields(config, sys.argv[1:])
    return config


def _place(error: BaseException, file: pathlib.Path) -> str:
  """The innermost line of a file that an error came from."""
  frames = traceback.extract_tb(error.__traceback__)
  lines = [x.lineno for x in frames if x.filename == str(file)]
  return f"{file}, line {lines[-1]}" if lines else str(file)


def _check_fields(
  config: ml_collections.ConfigDict, argv: Sequence[str]
) -> None:
  """Refuses fields of the command line that the config does not have."""
  for word in argv:
    if word == "--":
      return
    if match := _FIELD.match(word):
      name = match[1]
      found = _at(config, name)
      if found is _MISSING:
        raise InputError(
          f"the config has no field {name!r}{_hint(config, name)}"
        )
      is_section = isinstance(found, ml_collections.ConfigDict)
      if is_section and found and name not in _OPEN:
        raise InputError(
          f"{name!r} is a section; set its fields, --config.{name}.FIELD=VALUE"
        )


def _file(name: str) -> pathlib.Path:
  """The file of a name, or of a path here or in the installed package."""
  places.path(name)  # refuses what can be no name
  path = pathlib.Path(name).expanduser()
  if path.suffix != ".py":
    known = sorted(p.stem for p in _CONFIGS.glob("[a-z]*.py"))
    known.remove("base")  # what the others have in common
    if name not in known:
      raise InputError(
        f"there is no config {name!r}; choose one of {', '.join(known)}, or "
        "name a file that ends in .py"
      )
    return _CONFIGS / f"{name}.py"
  installed = _CONFIGS.parents[1] / path
  if not path.exists() and installed.exists():
    return installed
  if not path.exists():
    raise InputError(f"--config does not load: there is no file {name}")
  return path


def _at(config: ml_collections.ConfigDict, name: str) -> Any:
  """What a dotted name leads to, `_MISSING` where it leads nowhere."""
  for part in name.split("."):
    if not isinstance(config, ml_collections.ConfigDict) or part not in config:
      return _MISSING
    config = config[part]
  return config


def _hint(config: ml_collections.ConfigDict, name: str) -> str:
  """How to write what was meant by a field that is not there."""
  for section, example in _OPEN.items():
    if name.startswith(f"{section}.") and not _at(config, section):
      return (
        f": {section} is empty in this variant; give it whole, as in "
        f'--config.{section}="{example}"'
      )
  return _nearest(name, [known for known, _ in _leaves(config, "")])


def _nearest(name: str, known: Sequence[str]) -> str:
  """Says which known name is meant, if any is near."""
  near = difflib.get_close_matches(name, known, n=1)
  last = name.rpartition(".")[2]
  near += [other for other in known if other.rpartition(".")[2] == last]
  return f"; did you mean {near[0]!r}?" if near else ""


def _leaves(
  config: ml_collections.ConfigDict, prefix: str
) -> Iterator[tuple[str, object]]:
  """Dotted names and values; an empty section counts as a value."""
  for key, value in config.items():
    is_section = isinstance(value, ml_collections.ConfigDict)
    if is_section and value:
      yield from _leaves(value, f"{prefix}{key}.")
    else:
      yield f"{prefix}{key}", {} if is_section else value
