"""Machines on one machine: a network, a process list, a home and a real sshd each, all of which are gone as soon as this process is.

Every machine is a process in namespaces of its own that ends when the pipe to it closes, and the switch between them is one more, so that
neither a failed test nor a killed one leaves anything behind. Nothing is seen in the machine's own network.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import psutil
import pytest

PROGRAMS = ("sshd", "ssh", "ssh-keygen", "rsync", "ip", "unshare", "nsenter")
NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc")
BIN = Path(sys.executable).parent

#: Folders of Ray that all machines would share otherwise: its sessions, and the sockets of its SSH connections.
RAYS = ("/tmp/ray", f"/tmp/ray_ssh_{hashlib.sha256(getuser().encode()).hexdigest()[:10]}")

#: `cat` ends when the test does, and with the first process of a process namespace end all others.
MACHINE = """
set -e
for folder in {folders}; do mount -t tmpfs tmpfs $folder; done
mkdir /run/sshd
for file in hosts resolv.conf passwd shadow; do mount --bind {etc}/$file /etc/$file; done
hostname {name}
ip link set lo up
{sshd}
echo ready
cat > /dev/null
"""

SSHD = """
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
Subsystem sftp internal-sftp
"""


def require() -> None:
    """Skip where such machines cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if missing := [name for name in PROGRAMS if program(name) is None]:
        pytest.skip(f"needs {', '.join(missing)} (Debian: openssh-server, rsync, iproute2, util-linux)")
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"namespaces are not allowed here: {tried.stderr.decode().strip()}")


def program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@dataclass
class Machine:
    """name: of the host; address: its IPv4 address; port: its end of the cable at the switch; home: the folder of its user."""

    name: str
    address: str
    port: str
    home: Path
    process: subprocess.Popen[str]
    switch: "Machine | None" = None

    @property
    def init(self) -> int:
        """Its first process, as seen from outside."""
        (child,) = psutil.Process(self.process.pid).children()
        return child.pid

    def inside(self, command: Sequence[str], folder: Path | None = None, **more: str) -> list[str]:
        """The command line that runs `command` there, in this folder; more: environment."""
        environment = {
            "HOME": str(self.home),
            "PATH": f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            **more,
        }
        enter = ["nsenter", "--target", str(self.init), *NAMESPACES, f"--wd={folder or self.home}"]
        return [*enter, "env", "-i", *(f"{n}={v}" for n, v in environment.items()), *command]

    def run(
        self, *command: str, folder: Path | None = None, timeout: float = 120, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.inside(command, folder, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """All that run there."""
        own, found = Path(f"/proc/{self.init}/ns/pid").readlink(), []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.NoSuchProcess):
                if Path(f"/proc/{process.pid}/ns/pid").readlink() == own:
                    found.append(process)
        return found

    def link(self, state: str) -> None:
        """Pull the cable (`down`), or put it back (`up`)."""
        checked(self.switch.inside(["ip", "link", "set", self.port, state]))

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)


def checked(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def machines(folder: Path, addresses: Mapping[str, str]) -> Iterator[dict[str, Machine]]:
    """Machines by name at these addresses of one /24 network; one key opens all of them, and each has it."""
    checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")])
    checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")])
    (folder / "sshd_config").write_text(SSHD.format(folder=folder))
    (folder / "hosts").write_text(
        "127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for n, a in addresses.items())
    )
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # nobody is there, and says so at once
    made = [Path(name) for name in RAYS if not Path(name).exists()]
    with contextlib.ExitStack() as stack:
        for name in made:
            name.mkdir()
            stack.callback(_remove, name)
        switch = _start(folder, "switch", "", "switch", ssh=False)
        stack.callback(switch.end)
        checked(switch.inside(["ip", "link", "add", "bridge", "type", "bridge"]))
        checked(switch.inside(["ip", "link", "set", "bridge", "up"]))
        found = {}
        for number, (name, address) in enumerate(addresses.items()):
            found[name] = _start(folder, name, address, f"port{number}", ssh=True)
            stack.callback(found[name].end)
            _plug(switch, found[name])
        yield found


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else uses it by now
        folder.rmdir()


def _start(folder: Path, name: str, address: str, port: str, *, ssh: bool) -> Machine:
    etc = folder / name
    home = etc / "home"
    home.mkdir(parents=True)
    for file in ("hosts", "resolv.conf"):
        shutil.copy(folder / file, etc / file)
    user = getuser()
    others = [
        line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith(f"{user}:")
    ]
    (etc / "passwd").write_text("\n".join([f"{user}:x:0:0::{home}:/bin/bash", *others, ""]))
    (etc / "shadow").write_text(f"{user}:*:19000:0:99999:7:::\n")
    server = f"{program('sshd')} -f {folder}/sshd_config -E {etc}/sshd.log" if ssh else ""
    folders = " ".join([*RAYS, "/dev/shm", "/run"])
    script = MACHINE.format(folders=folders, etc=etc, name=name, sshd=server)
    process = subprocess.Popen(
        ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "bash", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n", f"{name} does not start"
    return Machine(name, address, port, home, process)


def _plug(switch: Machine, machine: Machine) -> None:
    machine.switch = switch
    # Only in the switch's network, so that the machine's process number is one that counts here.
    enter = ["nsenter", "--target", str(switch.init), "--net"]
    pair = ["type", "veth", "peer", "name", "eth0", "netns", str(machine.init)]
    checked([*enter, "ip", "link", "add", machine.port, *pair])
    checked([*enter, "ip", "link", "set", machine.port, "master", "bridge", "up"])
    checked(machine.inside(["ip", "address", "add", f"{machine.address}/24", "dev", "eth0"]))
    checked(machine.inside(["ip", "link", "set", "eth0", "up"]))


def until(what: str, holds, seconds: float) -> float:
    """Wait until `holds()` is true; returns how many seconds it took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(1)  # what is asked takes its time, too
    return time.monotonic() - begin
