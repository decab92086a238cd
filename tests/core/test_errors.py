import subprocess
import sys

import pytest

from qsharp_jax.core import errors


def test_an_input_error_is_a_value_error():
  with pytest.raises(ValueError, match="got 3"):
    raise errors.InputError("got 3, expected 4: pass 4")


def test_the_error_comes_without_jax():
  code = "import sys, qsharp_jax.core.errors; sys.exit('jax' in sys.modules)"
  subprocess.run([sys.executable, "-c", code], check=True)
