#!/bin/bash
# launch/slurm.sbatch under a real Slurm: one node, two tasks, on CPU.
#
#   tests/integration/slurm/run.sh [WORK_DIRECTORY]
#
# Debian, as root: installs slurm-wlm and munge where they are missing, starts
# them with files of their own, and stops them at the end. Tries a bare job, a
# pre-empted one and a wrong one; then runs experiments.gsm8k to its report.
set -euo pipefail
cd "$(dirname "$0")/../../.."
source tests/integration/slurm/cluster.sh

work=${1:-$(mktemp --directory --tmpdir slurm.XXXXXX)}
mkdir -p "$work"
work=$(realpath "$work")
trap stop_cluster EXIT
start_cluster "$work/cluster"
export JAX_PLATFORMS=cpu HF_HUB_OFFLINE=1

# submit STATE WARN_AT MODULE FLAGS...: runs a job, warns its shell once, as
# Slurm does before the time limit, when the log says WARN_AT; prints the log;
# fails unless the job ends in the state.
submit() {
  local expected=$1 warn_at=$2 log state=PENDING job
  shift 2
  job=$(sbatch --parsable --ntasks=2 --output="$work/%j.log" \
    launch/slurm.sbatch "$@")
  log="$work/$job.log"
  while [[ "$state" =~ ^(PENDING|RUNNING|COMPLETING|REQUEUE.*)$ ]]; do
    sleep 1
    state=$(scontrol show job "$job" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p')
    if [[ -n "$warn_at" ]] && grep -q "$warn_at" "$log" 2>/dev/null; then
      warn_at=
      scancel --batch --signal=TERM "$job"
    fi
  done
  # Bars that were drawn over and over, once.
  sed 's/^\([0-9]*: \).*\r\([^\r]\)/\1\2/' "$log"
  if [[ "$state" != "$expected" ]]; then
    echo "error: job $job ended as $state, not $expected" >&2
    return 1
  fi
}

probe=tests.integration.slurm.probe
echo "=== a bare job"
submit COMPLETED "" "$probe" 0
echo "=== pre-empted: warned, saves, comes back from the queue"
submit COMPLETED "1: waiting for SIGTERM" "$probe" wait
echo "=== wrong input: final"
submit FAILED "" "$probe" 2
echo "=== the experiment, from nothing to a report, pre-empted once"
flags=(
  pretrain.num_questions=2500 pretrain.num_steps=1 pretrain.max_value=4
  pretrain.vocab_size=300 pretrain.width=32 pretrain.num_layers=2
  pretrain.num_heads=2 pretrain.batch_size=32 pretrain.max_length=128
  pretrain.learning_rate=0.01 pretrain.warmup_steps=10
  data.num_train=40 data.num_validation=8 data.num_test=8
  sampling.batch_size=4 sampling.prompts_per_refill=2
  sampling.max_new_tokens=16 sampling.prompt_bucket=112
  rounds.num_rounds=1 rounds.num_samples=4
  fit.batch_size=16 fit.num_epochs=1 fit.warmup_steps=2 fit.max_length=128
  evaluation.methods="('qsharp',)" evaluation.etas='(0.5,)'
  evaluation.num_samples=4
)
submit COMPLETED "rollouts: 0 failed" experiments.gsm8k --workdir="$work/run" \
  "${flags[@]/#/--config.}"
python3 - "$work/run/report.json" <<'PY'
import json, sys

report = json.load(open(sys.argv[1]))
found = [(row["method"], row["eta"]) for row in report["rows"]]
assert found == [("reference", None), ("qsharp", 0.5)], found
print("report.json:", found)
PY
