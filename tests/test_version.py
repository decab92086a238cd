"""One version: the package's, the citation's and that of its changes."""

import pathlib
import re

import qsharp_jax
from qsharp_jax import version

ROOT = pathlib.Path(__file__).parents[1]


def test_all_name_the_same_version():
  assert qsharp_jax.__version__ == version.__version__
  citation = (ROOT / "CITATION.cff").read_text()
  (cited,) = re.findall(r"^version: (\S+)$", citation, re.MULTILINE)
  assert cited == version.__version__
  assert re.fullmatch(r"\d+\.\d+\.\d+", version.__version__)


def test_the_package_is_built_with_it():
  setup = (ROOT / "setup.cfg").read_text()
  assert "version = attr: qsharp_jax.version.__version__" in setup
