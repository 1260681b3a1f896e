"""What a test cluster consists of on disk: SLURM's configuration, links that stand for GPUs, two small programs."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.slurm.cluster import Cluster

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,sched_interval=2,bf_interval=2,batch_sched_delay=0,defer_batch=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
TaskEpilog={folder}/bin/note_cpu
AccountingStorageType=accounting_storage/none
# Timers of a large cluster would make each test wait minutes.
MinJobAge=3000
KillWait={kill_wait}
SlurmdTimeout=10
SlurmctldTimeout=10
BatchStartTimeout=10
MessageTimeout=10
ReturnToService=2
"""


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody uses."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def write_files(cluster: Cluster) -> None:
    """Write the configuration of a cluster, its GPUs, and two small programs, into its folder."""
    ports = free_ports(cluster.nodes + 1)
    host = socket.gethostname().split(".")[0]
    facts = {"host": host, "user": pwd.getpwuid(os.getuid()).pw_name, "port": ports[0], "folder": cluster.folder}
    lines, gres = [CONFIG.format(**facts, kill_wait=cluster.kill_wait)], ["AutoDetect=off"]
    for number, name in enumerate(cluster.names):
        with_gpus = number < cluster.gpu_nodes
        lines.append(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[number + 1]} CPUs={cluster.cpus}"
            f" Boards=1 SocketsPerBoard=1 CoresPerSocket={cluster.cpus} ThreadsPerCore=1 RealMemory={cluster.memory_mb}"
            f" State=UNKNOWN{f' Gres=gpu:{cluster.gpus}' if with_gpus else ''}"
        )
        (cluster.folder / "spool" / name).mkdir()
        for gpu in range(cluster.gpus if with_gpus else 0):
            device = cluster.folder / "dev" / name / f"gpu{gpu}"
            device.parent.mkdir(parents=True, exist_ok=True)
            device.symlink_to("/dev/null")
            gres.append(f"NodeName={name} Name=gpu File={device}")
    common = "DefaultTime=5 DefMemPerCPU=100 MaxTime=10-0 State=UP"
    lines += [
        f"PartitionName=cpu Nodes={','.join(cluster.names)} Default=YES {common}",
        f"PartitionName=gpu Nodes={','.join(cluster.names[: cluster.gpu_nodes])} {common}",
        f"PartitionName=urgent Nodes={','.join(cluster.names)} PriorityTier=10 {common}",  # its jobs drive others out
    ]
    cluster.config.write_text("\n".join(lines) + "\n")
    (cluster.folder / "etc/gres.conf").write_text("\n".join(gres) + "\n")
    (cluster.folder / "etc/cgroup.conf").write_text(
        "CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\nConstrainDevices=no\n"
    )
    # The executor drops SLURM_CONF before it calls srun inside of a job.
    srun = shutil.which("srun", path=cluster.environment["PATH"])
    wrapper = cluster.folder / "bin/srun"
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={cluster.config} exec {srun} "$@"\n')
    wrapper.chmod(0o755)
    # For lack of accounting: what a step's processes took, from the process that waited for all of them.
    (cluster.folder / "log/cpu").touch()
    epilog = cluster.folder / "bin/note_cpu"
    epilog.write_text(
        "#!/bin/sh\nread -r line < /proc/$PPID/stat; set -- $line\n"
        f'echo "$SLURM_JOB_ID $(( ${{16}} + ${{17}} ))" >> {cluster.folder}/log/cpu\n'
    )
    epilog.chmod(0o755)
