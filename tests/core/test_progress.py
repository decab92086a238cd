import io
import sys

import pytest

from qsharp_jax.core import progress


def test_a_bar_passes_on_what_it_iterates_over(capsys):
  items = progress.bar([3, 1, 2], "counting", total=3, unit="number")
  assert list(items) == [3, 1, 2]
  assert "counting: 100%" in capsys.readouterr().err


def test_a_bar_goes_on_where_an_earlier_attempt_stopped(capsys):
  with progress.bar(None, "reading", total=8, done=6, unit="page") as bar:
    assert bar.n == 6
    bar.update(2)
  assert "8/8" in capsys.readouterr().err


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_log_file_gets_fewer_lines_than_a_terminal(monkeypatch, is_terminal):
  stream = io.StringIO()
  stream.isatty = lambda: is_terminal
  monkeypatch.setattr(sys, "stderr", stream)
  with progress.bar(None, "waiting", total=1, unit="s") as bar:
    assert (bar.mininterval < 1) == is_terminal
