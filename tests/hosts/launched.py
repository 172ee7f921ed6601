"""A cluster that `ray up` makes of the hosts, as a person at the laptop sees it; and what runs on a host."""

import contextlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from network import Machine, until

ROOT = Path(__file__).parents[2]

HEAD, WORKERS = "10.77.0.1", ("10.77.0.2", "10.77.0.3")
ADDRESSES = {"laptop": "10.77.0.9", "head": HEAD, "worker-1": WORKERS[0], "worker-2": WORKERS[1]}

#: Seconds within which anything here must happen, on a machine that is busy with something else.
PATIENCE = 600

#: Asks the cluster from the laptop: prints the HTTP status and what was answered.
ASK = """
import sys, urllib.error, urllib.request
url, token = sys.argv[1:]
request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token} if token else {})
try:
    with urllib.request.urlopen(request, timeout=20) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print("nobody", error)
"""


@dataclass
class Cluster:
    """What `ray up` made of the hosts. seconds: how long each step took."""

    hosts: dict[str, Machine]
    file: Path
    shared: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def laptop(self) -> Machine:
        return self.hosts["laptop"]

    def ray(self, *command: str) -> list[str]:
        """The command line of `ray ...` as typed on the laptop, in the project's folder."""
        return self.laptop.inside(["ray", *command], ROOT, RAY_AUTH_MODE="token", RAY_USAGE_STATS_ENABLED="0")

    def typed(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.ray(*command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ask(self, path: str, token: str, host: str = "127.0.0.1") -> str:
        return self.laptop.run("python", "-c", ASK, f"http://{host}:8265{path}", token).stdout

    @property
    def token(self) -> str:
        return (self.laptop.home / ".ray" / "auth_token").read_text().strip()

    def alive(self) -> dict[str, str]:
        """Ray's name of every living node by its address; empty where nobody answers."""
        status, _, text = self.ask("/api/v0/nodes", self.token).partition(" ")
        if status != "200":
            return {}
        nodes = json.loads(text)["data"]["result"]["result"]
        return {n["node_ip"]: n["node_id"] for n in nodes if n["state"] == "ALIVE"}

    def all_joined(self) -> bool:
        return set(self.alive()) == {HEAD, *WORKERS}

    def timed(self, what: str, holds) -> None:
        self.seconds[what] = until(what, holds, PATIENCE)


def running(host: Machine) -> list[str]:
    """Processes of a host beyond its own few."""
    names = []
    for process in host.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(process.name())
    return [name for name in names if name not in {"bash", "cat", "sshd", "sleep", "tail"}]


def trains(host: Machine) -> bool:
    return any("train" in " ".join(p.cmdline()) for p in host.processes() if p.name().startswith("ray::"))
