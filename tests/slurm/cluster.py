"""A real SLURM cluster on this machine: slurmctld, one slurmd for each node, munged. For tests, as any user.

    python -m tests.slurm.cluster start FOLDER     three nodes n1 n2 n3, 16 CPUs each, two GPUs each on n1 and n2
    eval "$(python -m tests.slurm.cluster env FOLDER)"
    python -m tests.slurm.cluster stop FOLDER

All that it writes lies in FOLDER, and it ends no process that does not belong to it. There is no accounting, no cgroup
and no systemd; nodes share host name and file system. GPUs are links to /dev/null: SLURM counts them and hands them
out, nothing can compute on them.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.slurm.cluster_files import write_files

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "munged")
SYSTEM_PATHS = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # an ordinary user's PATH may lack them
MARK = ".unpeopled-slurm"


def missing_programs() -> list[str]:
    """Return which of SLURM's programs are not on this machine."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_PATHS])
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def wait_until(true: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until `true()` holds; raise TimeoutError naming `what` when it does not in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


@dataclass
class Cluster:
    """The cluster whose state lies in `folder`."""

    folder: Path
    nodes: int = 3
    gpu_nodes: int = 2
    gpus: int = 2  # of each GPU node
    cpus: int = 16
    memory_mb: int = 128_000  # of each node, whatever the machine has: rules ask for what real data need
    kill_wait: int = 20  # seconds between SIGTERM and SIGKILL at a time limit; SLURM's own default is 30

    @property
    def config(self) -> Path:
        return self.folder / "etc/slurm.conf"

    @property
    def names(self) -> list[str]:
        return [f"n{number + 1}" for number in range(self.nodes)]

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which SLURM's commands, and torch's processes, find the cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", ""), *SYSTEM_PATHS])
        return {"SLURM_CONF": str(self.config), "PATH": path, "MASTER_ADDR": "127.0.0.1"}

    def call(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's commands and return what it prints."""
        result = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60
        )
        if check and result.returncode:
            raise RuntimeError(f"{command}: {result.stdout}{result.stderr}")
        return result.stdout

    def start(self) -> None:
        """Start all daemons, with no memory of an earlier cluster in this folder."""
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / MARK).exists():
            raise FileExistsError(f"{self.folder} is not empty and holds no test cluster")
        if (self.folder / MARK).exists():
            self.stop()
            shutil.rmtree(self.folder)
        for name in ("etc", "run", "log", "state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / MARK).touch()
        for path in (self.folder, self.folder / "run"):
            path.chmod(0o755)
        write_files(self)
        try:
            self._start_munge()
            self.call("slurmctld", "-f", str(self.config))
            wait_until(lambda: "UP" in self.call("scontrol", "ping", check=False), "slurmctld answers")
            for name in self.names:
                self.start_node(name)
            wait_until(lambda: self.idle() == self.names, "all nodes are idle")
        except BaseException:
            self.stop()
            raise

    def _start_munge(self) -> None:
        key, run = self.folder / "etc/munge.key", self.folder / "run"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        self.call(
            "munged", "--force", f"--key-file={key}", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid",
            f"--log-file={self.folder}/log/munged.log", f"--seed-file={self.folder}/state/munged.seed",
        )  # fmt: skip
        wait_until((run / "munge.socket").exists, "munged listens")

    def start_node(self, name: str) -> None:
        """Start the daemon of one node."""
        self.call("slurmd", "-f", str(self.config), "-N", name)

    def idle(self) -> list[str]:
        """Return the nodes that can take a job."""
        listed = self.call("sinfo", "--noheader", "-N", "-p", "cpu", "-t", "idle", "-o", "%N", check=False)
        return sorted(set(listed.split()))

    def jobs(self, states: str = "R,PD,CF,CG,S", form: str = "%i") -> list[str]:
        """Return a line for each job of this cluster."""
        return self.call("squeue", "--noheader", "-t", states, "-o", form, check=False).split("\n")[:-1]

    def cpu_seconds(self) -> dict[int, float]:
        """Return what each job's steps took that have ended."""
        taken: dict[int, float] = {}
        for line in (self.folder / "log/cpu").read_text().splitlines():
            job, ticks = line.split()
            taken[int(job)] = taken.get(int(job), 0.0) + int(ticks) / os.sysconf("SC_CLK_TCK")
        return taken

    def kill_node(self, name: str) -> None:
        """Let a node vanish with all that runs on it, as if its plug were pulled."""
        doomed = self._processes(name)
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: none may report the end of another
            for process in doomed:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        (self.folder / f"run/{name}.pid").unlink(missing_ok=True)

    def _processes(self, name: str) -> list[psutil.Process]:
        """Return a node's daemon, its job steps, and all that these started."""
        log, found = str(self.folder / f"log/{name}.log"), {}
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error, OSError):
                if process.info["name"] in ("slurmd", "slurmstepd"):
                    if log not in {file.path for file in process.open_files()}:
                        continue
                elif not self._is_task_of(process, name):
                    continue
                for each in [process, *process.children(recursive=True)]:
                    found[each.pid] = each
        return list(found.values())

    def _is_task_of(self, process: psutil.Process, name: str) -> bool:
        variables = process.environ()
        return variables.get("SLURMD_NODENAME") == name and variables.get("SLURM_CONF") == str(self.config)

    def stop(self) -> None:
        """End all jobs, then all daemons."""
        if not self.config.exists():
            return
        self.call("scancel", "--full", "--user", pwd.getpwuid(os.getuid()).pw_name, check=False)
        with suppress(TimeoutError):
            wait_until(lambda: not self.jobs("R,CG,CF"), "the jobs have ended", 10)
        for name in self.names:
            self.kill_node(name)
        for name in ("slurmctld", "munged"):
            self._end(self.folder / f"run/{name}.pid", name)

    def _end(self, pid_file: Path, program: str) -> None:
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(pid_file.read_text().strip()))
            if process.name() == program:
                process.terminate()
                _, alive = psutil.wait_procs([process], timeout=10)
                for each in alive:
                    each.kill()


def main() -> None:
    """Start or stop a cluster, or print the variables to use it with."""
    action, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    cluster = Cluster(folder)
    if action == "env":
        sys.stdout.writelines(f"export {name}={value}\n" for name, value in cluster.environment.items())
    else:
        {"start": cluster.start, "stop": cluster.stop}[action]()


if __name__ == "__main__":
    main()
