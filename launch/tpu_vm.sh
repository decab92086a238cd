#!/bin/bash
# A run on a Cloud TPU slice:
#
#   launch/tpu_vm.sh COMMAND --name=NAME --zone=ZONE --project=PROJECT [...]
#
#   create   --type=v5litepod-8 [--runtime=VERSION] [--spot]: asks for the slice
#   wait     until it is there
#   copy     the checkout's last commit to all its hosts
#   install  [--nfs=HOST:/SHARE] on all its hosts; the share becomes /mnt/shared
#   run      -- MODULE FLAGS...: the same command on all hosts, in the background
#   logs     [--worker=N|all]: follows the log of one host, 0 by default
#   watch    all of the above with their flags, as far as it is not done yet, and
#            again after a pre-emption or a crash; ends when the run is done
#   delete   the slice and the request
#
# --dry_run prints the commands, one a line, and runs none. --workdir has to be
# on storage that all hosts share and that outlives them.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly checkout=qsharp-jax # in the home directory of every host
readonly max_crashes=5
readonly max_misses=20
readonly pause=30 # seconds between two looks

refuse() {
  echo "error: $*" >&2
  exit 2
}

command=${1-}
[[ $# -eq 0 ]] || shift
name='' zone='' project='' type='' runtime='' nfs='' worker=0
spot=() program=() dry_run=false
while [[ $# -gt 0 ]]; do
  case $1 in
    --name=*) name=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --project=*) project=${1#*=} ;;
    --type=*) type=${1#*=} ;;
    --runtime=*) runtime=${1#*=} ;;
    --nfs=*) nfs=${1#*=} ;;
    --worker=*) worker=${1#*=} ;;
    --spot) spot=(--spot) ;;
    --dry_run) dry_run=true ;;
    --)
      shift
      program=("$@")
      break
      ;;
    *) refuse "unknown flag $1; the head of $0 lists them" ;;
  esac
  shift
done
[[ $command =~ ^(create|wait|copy|install|run|logs|watch|delete)$ ]] ||
  refuse "the first argument is '$command'; the head of $0 lists the commands"
for flag in name zone project; do
  [[ -n ${!flag} ]] || refuse "--$flag is missing"
done
[[ ! $command =~ ^(create|watch)$ || -n $type ]] || refuse "--type is missing"
[[ ! $command =~ ^(run|watch)$ || ${#program[@]} -gt 0 ]] ||
  refuse "nothing to run: end the line with -- MODULE FLAGS"
if [[ -z $runtime ]]; then
  case $type in
    '') ;;
    v4-*) runtime=tpu-ubuntu2204-base ;;
    v5litepod-*) runtime=v2-alpha-tpuv5-lite ;;
    v5p-*) runtime=v2-alpha-tpuv5 ;;
    v6e-*) runtime=v2-alpha-tpuv6e ;;
    *) refuse "no runtime version is known for --type=$type: give --runtime" ;;
  esac
fi
readonly where=("--zone=$zone" "--project=$project")
readonly tpus=(gcloud compute tpus)

# A word as a shell reads it back, in quotes where it needs them.
quoted() {
  local word words=()
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=@%+,-]+$ ]] || word=${word@Q}
    words+=("$word")
  done
  echo "${words[*]}"
}

# Runs a command, or prints it.
call() {
  if $dry_run; then quoted "$@"; else "$@"; fi
}

# ssh WORKER COMMAND, which a shell there reads.
remote() {
  call "${tpus[@]}" tpu-vm ssh "$name" "${where[@]}" --worker="$1" \
    --command="$2"
}

say() {
  echo "$(date --iso-8601=seconds) $name: $*"
}

create() {
  call "${tpus[@]}" queued-resources create "$name" --node-id="$name" \
    "${where[@]}" --accelerator-type="$type" --runtime-version="$runtime" \
    "${spot[@]}"
}

state() {
  call "${tpus[@]}" queued-resources describe "$name" "${where[@]}" \
    --format='value(state.state)'
}

wait_until_there() {
  local found
  if $dry_run; then
    state
    return
  fi
  until found=$(state) && [[ $found == ACTIVE ]]; do
    say "${found:-gave no answer}"
    [[ $found =~ ^[A-Z_]+$ && ! $found =~ ^(FAILED|SUSPEND) ]] || return 1
    sleep $pause
  done
  say "$found"
}

copy() {
  local archive=${TMPDIR:-/tmp}/$checkout-$name.tar.gz
  call git archive --format=tar.gz --output="$archive" HEAD &&
    call "${tpus[@]}" tpu-vm scp "$archive" "$name:$checkout.tar.gz" \
      "${where[@]}" --worker=all &&
    remote all "mkdir -p $checkout && tar -xzf $checkout.tar.gz -C $checkout"
}

# The hosts' own Python is older than ours: uv brings one.
install() {
  [[ -z $nfs ]] || remote all "sudo apt-get install -y -q nfs-common\
 && sudo mkdir -p /mnt/shared && { mountpoint -q /mnt/shared\
 || sudo mount -t nfs $(quoted "$nfs") /mnt/shared; }" || return
  remote all "cd $checkout && python3 -m pip install --user --quiet uv\
 && python3 -m uv venv --quiet --clear --python=3.12 .venv\
 && python3 -m uv pip install --quiet --python=.venv/bin/python -e .[tpu]"
}

# Loss of the connection does not end it; its log and exit code stay there.
# Without a TPU it must fail, not go on on the CPU.
run() {
  remote all "cd $checkout && rm -f exit_code && { (trap '' HUP;\
 JAX_PLATFORMS=tpu,cpu .venv/bin/python -m $(quoted "${program[@]}");\
 echo \$? >exit_code) >>run.log 2>&1 </dev/null & echo \$! >run.pid; }"
}

logs() {
  remote "$worker" "tail -n 100 -F $checkout/run.log"
}

# One word per host: its exit code, or what there is instead of one.
codes() {
  remote all "if ! cd $checkout || ! [ -e run.pid ]; then echo absent;\
 elif [ -e exit_code ]; then cat exit_code;\
 elif kill -0 \$(cat run.pid); then echo running; else echo lost; fi"
}

delete() {
  call "${tpus[@]}" queued-resources delete "$name" "${where[@]}" \
    --force --quiet
}

deploy() {
  copy && install && run
}

# What the exit codes of all hosts ask for. Deploys again where a host has lost
# more than its process: a reboot takes the share away.
react() {
  case " $* " in
    "  " | *" running "*) ;;
    *" 2 "*) refuse "$name: wrong input, see $0 logs --worker=all" ;;
    " 0 ")
      say "done"
      exit
      ;;
    *" absent "*) deploy || crashes=$((crashes + 1)) ;;
    *" 75 "*) run || crashes=$((crashes + 1)) ;;
    *)
      crashes=$((crashes + 1))
      say "exit codes $*, crash $crashes"
      ((crashes > max_crashes)) || deploy || true
      ;;
  esac
}

watch() {
  local found misses=0
  crashes=0
  if $dry_run; then
    state && codes && delete && create && state && deploy
    return
  fi
  while ((crashes <= max_crashes && misses <= max_misses)); do
    found=$(state) || found=UNKNOWN
    say "$found"
    misses=$((misses + 1))
    case $found in
      ACTIVE)
        # Hosts that do not answer are about to be pre-empted: look again.
        if found=$(codes 2>/dev/null); then
          misses=0
          found=$(grep -xE '[0-9]+|[a-z]+' <<<"$found" | sort -u | xargs) || true
          # shellcheck disable=SC2086  # one word for each code
          react $found
        fi
        ;;
      FAILED | SUSPENDED) delete && create && misses=0 ;;
      UNKNOWN) create || true ;; # the first time, or a look that failed
      ?*) misses=0 ;;
    esac
    sleep $pause
  done
  say "gave up after $crashes crashes, $misses looks without an answer"
  return 1
}

case $command in
  wait) wait_until_there ;;
  *) "$command" ;;
esac
