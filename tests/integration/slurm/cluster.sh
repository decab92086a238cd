# shellcheck shell=bash
# A Slurm of one node on this machine, for the script that sources this file:
# start_cluster DIRECTORY and stop_cluster. Debian, as root.

pids=()

start_cluster() {
  local dir=$1 host packages=()
  host=$(hostname --short)
  command -v slurmctld >/dev/null || packages+=(slurm-wlm)
  command -v munged >/dev/null || packages+=(munge)
  if ((${#packages[@]})); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${packages[@]}"
  fi
  mkdir -p "$dir/state" "$dir/spool"
  export SLURM_CONF="$dir/slurm.conf"
  cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credentials are over.
AuthInfo=socket=$dir/munge.socket,cred_expire=10
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_min_interval=500000
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  dd if=/dev/urandom of="$dir/munge.key" bs=1024 count=1 status=none
  chmod 600 "$dir/munge.key"
  # A directory of mktemp is closed to others, which munged calls insecure or
  # unusable: it is ours alone, so force it.
  munged --foreground --force --key-file="$dir/munge.key" \
    --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --seed-file="$dir/munged.seed" --log-file="$dir/munged.log" \
    >"$dir/munged.out" 2>&1 &
  pids+=($!)
  until [[ -S "$dir/munge.socket" ]]; do sleep 0.1; done
  slurmctld -D -i >"$dir/slurmctld.out" 2>&1 &
  pids+=($!)
  slurmd -D >"$dir/slurmd.out" 2>&1 &
  pids+=($!)
  local tries=0
  until [[ "$(sinfo --noheader --format=%t 2>/dev/null)" == idle ]]; do
    if ((++tries > 60)); then
      echo "error: Slurm did not start, see $dir/*.log" >&2
      return 1
    fi
    sleep 0.5
  done
}

stop_cluster() {
  local index
  for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
    kill "${pids[index]}" 2>/dev/null || true
    wait "${pids[index]}" 2>/dev/null || true
  done
  pids=()
}
