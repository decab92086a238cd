"""A miniature run that has learnt, made once and copied by each test."""

import functools
import inspect
import shutil
import types

import jax
import pytest
from oracles import micro_runs

from qsharp_jax import pipeline
from qsharp_jax.training import fit as fit_lib


@pytest.fixture
def fits(monkeypatch):
  """What each fit was asked for, which then goes on as it would."""
  return spied(monkeypatch)


def spied(monkeypatch):
  """Notes rows, hyper-parameters and the start of every fit."""
  found, real = [], fit_lib.fit

  @functools.wraps(real)
  def fit(*arguments, **named):
    asked = inspect.signature(real).bind(*arguments, **named).arguments
    start = jax.device_get(asked["params"])  # the fit gives it up
    rows = asked["batches"].rows
    found.append(
      types.SimpleNamespace(rows=rows, how=asked["how"], start=start)
    )
    return real(*arguments, **named)

  monkeypatch.setattr(fit_lib, "fit", fit)
  return found


@pytest.fixture(scope="session")
def two_rounds(tmp_path_factory):
  """Where two rounds were learnt by the rule `algorithm1`, and their fits."""
  directory = tmp_path_factory.mktemp("learnt")
  with pytest.MonkeyPatch.context() as monkeypatch:
    fits = spied(monkeypatch)
    pipeline.learn(micro_runs.learning(directory))
  return types.SimpleNamespace(directory=directory, fits=fits)


@pytest.fixture
def learnt(two_rounds, tmp_path):
  """A copy of that directory."""
  return shutil.copytree(two_rounds.directory, tmp_path / "copy")
