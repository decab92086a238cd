import io
import sys

import pytest

from qsharp_jax.core import progress


class Terminal(io.StringIO):
  def isatty(self):
    return True


def shown(stream, monkeypatch, **settings):
  monkeypatch.setattr(sys, "stderr", stream)
  with progress.bar(None, "fit", total=5, unit="step", **settings) as bar:
    bar.update(2)
    bar.set_postfix(loss="0.5", refresh=False)
    bar.update(bar.total - bar.n)
  return stream.getvalue()


def test_a_log_file_gets_whole_lines(monkeypatch):
  text = shown(io.StringIO(), monkeypatch)
  assert "\r" not in text and text.endswith("\n")
  first, last = text.splitlines()
  assert first.startswith("fit: 0 of 5, ")
  assert last.startswith("fit: 5 of 5, ") and last.endswith(", loss=0.5")


def test_every_line_is_a_later_state(monkeypatch):
  monkeypatch.setattr(progress, "_LOG_SECONDS", 0.0)
  lines = lines_of_all_steps(monkeypatch)
  counts = [line.split()[1] for line in lines]
  assert counts == ["0", "1", "2", "3"]


def lines_of_all_steps(monkeypatch):
  stream = io.StringIO()
  monkeypatch.setattr(sys, "stderr", stream)
  with progress.bar(None, "fit", total=3, unit="step") as bar:
    for _ in range(3):
      bar.update(1)
      bar.refresh()
  return stream.getvalue().splitlines()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_goes_on_from_what_is_done(stream, monkeypatch):
  text = shown(stream(), monkeypatch, done=1)
  assert "1 of 5" in text or "1/5" in text
  assert "5 of 5" in text or "5/5" in text


def test_a_terminal_gets_one_line_that_changes(monkeypatch):
  text = shown(Terminal(), monkeypatch)
  assert text.count("\n") == 1 and "\r" in text and "100%" in text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_bar_passes_on_what_it_iterates_over(stream, monkeypatch):
  monkeypatch.setattr(sys, "stderr", stream())
  items = progress.bar([3, 1, 2], "counting", total=3, unit="number")
  assert list(items) == [3, 1, 2]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_of_what_is_over_at_once_nothing_is_said(stream, monkeypatch):
  assert shown(stream(), monkeypatch, is_short=True) == ""
  monkeypatch.setattr(progress, "_SHORT_SECONDS", 1e-9)
  monkeypatch.setattr(progress, "_LOG_SECONDS", 0.0)
  assert "5" in shown(stream(), monkeypatch, is_short=True)
