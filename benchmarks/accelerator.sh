#!/usr/bin/env bash
# The first minutes on one accelerator, in two sections of a few minutes each:
#
#   benchmarks/accelerator.sh 1 DIR   # decoding, and PyTorch beside it
#   benchmarks/accelerator.sh 2 DIR   # training, and star graphs at paper scale
#
# Logs, JSON lines and a table go into DIR. Each part has its own time limit, so
# that one that hangs costs no other. Without a GPU the same parts run on the
# CPU at tiny sizes. PYTHON chooses the interpreter.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
section="${1:?which section, 1 or 2}"
out="${2:?a directory for the results}"
python="${PYTHON:-python3}"
traces="${TMPDIR:-/tmp}/traces"
mkdir -p "$out"
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false

if nvidia-smi -L 2>/dev/null; then
  export JAX_PLATFORMS=cuda XLA_PYTHON_CLIENT_MEM_FRACTION=.9
  pair=(--pair=8b_1b --dtype=bfloat16)
  batches=8,64,1
  model=(--model=1b --dtype=bfloat16 --remat --repeats=5)
  stars=(--config=experiments/configs/star_graph.py:g2_5)
  # Half of the arms of the reference's corpus are wrong ones, and the values
  # are new layers on top of it, kept as it is, as in the small variant.
  learning=(--config.graphs.mistake_rate=0.5 --config.pretrain.num_learning=3
    --config.value.num_new_layers=4 --config.fit.num_frozen_layers=12
    --config.fit.learning_rate=3e-4 --config.data.num_validation=500
    --config.data.num_test=2000)
  steps=(--repeats=5)
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
else
  export JAX_PLATFORMS=cpu
  pair=(--pair=tiny --prompt=8 --new=4 --repeats=1)
  batches=2,1
  model=(--model=tiny --batch=2 --length=16 --repeats=1)
  stars=(--config=experiments/configs/star_graph.py:tiny)
  steps=(--rows=16 --batches=1 --updates=1 --repeats=1)
  learning=(--config.graphs.num_pretrain=32000 --config.data.num_train=2000
    --config.data.num_validation=32 --config.data.num_test=32
    --config.pretrain.num_learning=1 --config.fit.num_learning=1)
fi

# part SECONDS NAME COMMAND…: the command's output, kept and shown.
part() {
  local limit="$1" name="$2" started="$SECONDS"
  shift 2
  echo "== $name: $*"
  timeout --kill-after=10 "$limit" "$@" 2>"$out/$name.err" |
    tee "$out/$name.log"
  local status="${PIPESTATUS[0]}"
  echo "== $name: exit $status, $((SECONDS - started)) s"
  if [ "$status" -ne 0 ]; then tail -n 15 "$out/$name.err"; fi
}

case "$section" in
  1)
    part 230 steady "$python" -m benchmarks.steady "${pair[@]}" \
      --batches="$batches" --profile="$traces/steady"
    part 110 torch "$python" -m benchmarks.torch_decode "${pair[@]}" \
      --batch=8 --repeats=1
    ;;
  2)
    part 80 train "$python" -m benchmarks.train "${model[@]}" --notorch \
      --nopacking --profile="$traces/train"
    part 90 program "$python" -m benchmarks.program "${steps[@]}"
    part "${STARS_SECONDS:-280}" stars "$python" -m experiments.star_graph \
      "${stars[@]}" "${learning[@]}" --workdir="${STARS_WORKDIR:-$out/stars}" \
      --config.evaluation.methods="('qsharp', 'cd')" \
      --config.pretrain.checkpoint_every=100000 \
      --config.fit.checkpoint_every=100000
    ;;
  *)
    echo "unknown section $section; expected 1 or 2" >&2
    exit 2
    ;;
esac

echo "== results of section $section"
"$python" - "$out" <<'PYTHON'
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.log")):
  for line in path.read_text().splitlines():
    if line.startswith("{"):
      found = json.loads(line).items()
      cell = lambda v: f"{v:.4g}" if isinstance(v, float) else v
      print(path.stem, *(f"{k}={cell(v)}" for k, v in found))
    elif " us " in line or line.startswith("|"):
      print(f"{path.stem:8} {line}")
PYTHON
