"""README's Python runs as it stands, and prints what the theory says."""

import contextlib
import io
import pathlib
import re

import numpy as np

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_readmes_python_runs():
  (code,) = re.findall(
    r"^```python\n(.*?)^```", README.read_text(), re.M | re.S
  )
  said = io.StringIO()
  with contextlib.redirect_stdout(said):
    exec(compile(code, str(README), "exec"), {})
  numbers = [float(x) for x in re.findall(r"[-+\d.e]+", said.getvalue())]
  # pi is the reference times E[exp(Z / eta)], Z a coin with these log-odds.
  success = 1 / (1 + np.exp(-np.array([-2.0, 0.0, 3.0])))
  pi = np.array([0.5, 0.3, 0.2]) * (1 - success + success * np.exp(1 / 0.1))
  np.testing.assert_allclose(numbers, pi / pi.sum(), rtol=1e-5)
