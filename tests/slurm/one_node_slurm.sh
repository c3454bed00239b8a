#!/bin/sh
# one_node_slurm.sh start FOLDER | stop FOLDER: a real Slurm of one node on loopback, with munge, as the calling user and with all
# its files in FOLDER. `start` prints why and ends 77 where that cannot be done; after it SLURM_CONF=FOLDER/slurm.conf.
set -u
folder=$2

stop() {
    for name in slurmd slurmctld munged; do
        [ -s "$folder/$name.pid" ] && kill "$(cat "$folder/$name.pid")" 2>/dev/null
    done
    for i in $(seq 50); do
        any=""
        for name in slurmd slurmctld munged; do
            [ -s "$folder/$name.pid" ] && kill -0 "$(cat "$folder/$name.pid" 2>/dev/null)" 2>/dev/null && any=yes
        done
        [ -n "$any" ] || return
        sleep 0.1
    done
}

skip() {
    echo "skipped: $1"
    tail -n 3 "$folder"/*.log 2>/dev/null
    stop
    exit 77
}

if [ "$1" = stop ]; then
    stop
    exit 0
fi
PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch sinfo; do
    command -v $program >/dev/null || skip "$program is not installed (tools/install_deps slurm)"
done
mkdir -p "$folder/state" "$folder/spool"
host=$(uname -n | cut -d. -f1)
user=$(id -un)
port=$((30000 + ($$ * 8) % 2700)) # below those of clients, above those of the tests
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --num-threads=2 || skip "munged does not start"
cat >"$folder/slurm.conf" <<CONF
ClusterName=seesaw
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
SlurmUser=$user
SlurmdUser=$user
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) Gres=gpu:1 State=UNKNOWN
PartitionName=bench Nodes=$host Default=YES MaxTime=10 State=UP
CONF
echo "Name=gpu File=/dev/null" >"$folder/gres.conf"
export SLURM_CONF="$folder/slurm.conf"
slurmctld -f "$SLURM_CONF" || skip "slurmctld does not start"
slurmd -f "$SLURM_CONF" -N "$host" || skip "slurmd does not start"
for i in $(seq 100); do
    sinfo -h -o '%T' 2>/dev/null | grep -qx idle && exit 0
    sleep 0.2
done
skip "the node does not become idle: $(sinfo 2>&1 | tail -n 1)"
