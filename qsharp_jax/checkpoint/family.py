"""What has to be said of a family to read and write its `config.json`."""

import dataclasses
from collections.abc import Callable, Mapping

from qsharp_jax.checkpoint import config_keys
from qsharp_jax.checkpoint.config_keys import Json
from qsharp_jax.checkpoint.rotary_keys import RotaryKeys


@dataclasses.dataclass(frozen=True)
class Family:
  """How one family's `config.json` is read and written.

  Attributes:
    language_model: transformers' class of language models.
    classifier: transformers' class of what we save V-type value models as.
    keys: field of `DecoderConfig` -> key of `config.json`.
    defaults: values that transformers assumes for keys that are absent.
    fixed: fields of `DecoderConfig` that no key says.
    only: switches supported at this one value.
    off: switches supported only where they are null or false.
    twins: older key -> the key that it must agree with, if it is there.
    ignored: keys that change nothing in this family, beside the harmless ones.
    renamed: values that transformers takes for others, by key.
    rotary: keys of the rotary embedding; None: learned positions.
    windows: reads the sliding windows.
  """

  language_model: str
  classifier: str
  keys: Mapping[str, str]
  defaults: Json
  fixed: Json = dataclasses.field(default_factory=dict)
  only: Json = dataclasses.field(default_factory=dict)
  off: tuple[str, ...] = ()
  twins: Mapping[str, str] = dataclasses.field(default_factory=dict)
  ignored: tuple[str, ...] = ()
  renamed: Mapping[str, Mapping[str, str]] = dataclasses.field(
    default_factory=dict
  )
  rotary: RotaryKeys | None = RotaryKeys()
  windows: Callable[[Json], config_keys.Windows] = config_keys.no_windows

  def known(self) -> set[str]:
    """Every key of `config.json` that is looked at."""
    rotary = set() if self.rotary is None else self.rotary.known()
    return {
      *self.keys.values(),
      *self.defaults,
      *self.only,
      *self.off,
      *self.twins,
      *self.ignored,
      *rotary,
    }
