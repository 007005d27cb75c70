#!/usr/bin/env bash
# A real Slurm on this machine alone, to try out jobs: scripts/slurm_sandbox.sh start [nodes=2] | status | stop
#
# As root, on Debian or Ubuntu: installs slurm-wlm and munge, keeps all that it writes in one folder, and listens on
# 127.0.0.1 only. Commands find it by SLURM_CONF, which `start` prints. Partitions: `low` is preempted by `high`, whose
# jobs put it in the queue again. Requeued jobs wait 5 seconds, not two minutes, and ended ones are killed after 15.
set -euo pipefail

folder=/run/slurm_sandbox
export SLURM_CONF=$folder/slurm.conf

running() { # without its file a command of Slurm's waits a minute for it
  [ -f "$SLURM_CONF" ]
}

write_config() {
  local nodes=$1 cores name names="" lines="" number
  cores=$(env -u OMP_NUM_THREADS nproc) # which would take that for the number of cores
  for number in $(seq "$nodes"); do
    name=sandbox$number
    names+=${names:+,}$name
    lines+="NodeName=$name NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((16820 + number)) CPUs=$cores State=UNKNOWN"$'\n'
  done
  cat > "$SLURM_CONF" <<CONFIG
ClusterName=sandbox
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=15
MinJobAge=600
SchedulerParameters=sched_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
${lines}PartitionName=low Nodes=$names Default=YES PriorityTier=1 GraceTime=30 MaxTime=60 State=UP
PartitionName=high Nodes=$names PriorityTier=2 PreemptMode=OFF MaxTime=60 State=UP
CONFIG
}

start() {
  local nodes=$1 number
  if running; then
    echo "It was started already: $0 stop ends it." >&2
    exit 1
  fi
  if ! type slurmctld slurmd munged &> /dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
  fi
  mkdir -m 755 -p "$folder" "$folder/state"
  write_config "$nodes"
  mungekey --create --keyfile "$folder/munge.key"
  munged --socket "$folder/munge.socket" --key-file "$folder/munge.key" --pid-file "$folder/munged.pid" \
    --seed-file "$folder/munge.seed" --log-file "$folder/munged.log"
  slurmctld
  for number in $(seq "$nodes"); do
    slurmd -N "sandbox$number"
  done
  for _ in $(seq 60); do
    if [ "$(sinfo --noheader --Node --partition=low --states=idle | wc -l)" = "$nodes" ]; then
      sinfo
      echo "export SLURM_CONF=$SLURM_CONF MASTER_ADDR=127.0.0.1"
      return
    fi
    sleep 0.5
  done
  echo "The nodes did not come up; see the logs in $folder." >&2
  stop
  exit 1
}

stop() {
  local file pid
  running || return 0
  scancel --user=root &> /dev/null || true
  for _ in $(seq 60); do
    [ -n "$(squeue --noheader 2> /dev/null)" ] || break
    sleep 0.5
  done
  for file in "$folder"/slurmd.*.pid "$folder/slurmctld.pid" "$folder/munged.pid"; do
    pid=$(cat "$file" 2> /dev/null) && kill "$pid" 2> /dev/null || continue
    for _ in $(seq 40); do
      [ -e "$file" ] || break # each of them takes its file away as the last thing
      sleep 0.5
    done
  done
  rm -rf "$folder"
}

case ${1:-} in
  start)
    nodes=${2:-nodes=1}
    [[ $nodes =~ ^nodes=[12]$ ]] || { echo "nodes=1 or nodes=2" >&2; exit 2; }
    start "${nodes#nodes=}"
    ;;
  status) running && sinfo --Node --long && squeue ;;
  stop) stop ;;
  *) sed -n '2,6s/^# \?//p' "$0" >&2; exit 2 ;;
esac
