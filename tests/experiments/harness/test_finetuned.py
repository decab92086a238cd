"""Fine-tuned policies from a run's config."""

import dataclasses

import ml_collections
import pytest
from oracles import finetuning as oracle
from oracles import micro_runs

from experiments.harness import methods

FIT = dataclasses.asdict(oracle.FIT)


@pytest.mark.parametrize("eta", [0.1, 0.2])
def test_rto_shares_the_dpo_policy_of_equal_settings(eta, tmp_path):
  run = micro_runs.run(tmp_path)
  run = dataclasses.replace(run, fit=dataclasses.replace(run.fit, seed=3))
  dpo = {"fit": FIT, "eta": 0.1}
  rto = oracle.SIZES | {"num_iterations": 1, "fit": FIT}
  baselines = {"dpo": dpo, "rto": rto | {"dpo": dpo | {"eta": eta}}}
  config = {"reference": run.players.start, "baselines": baselines}
  bench = methods.Bench(ml_collections.ConfigDict(config), run, None, None)
  with run.layout.context():
    model = bench.train("rto")()
  assert model == str(run.workdir.path / "baselines" / "rto" / "model")
  inner = "baseline_dpo" if eta == 0.1 else "baseline_rto_dpo"
  assert run.workdir.seconds().keys() == {inner, "baseline_rto"}
