"""One computer by itself: shared memory, open files, the folder for temporary files, other Rays, ports, the GPU."""

import contextlib
import ctypes
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from clef_ray.doctor.check import Check, Level, judge
from clef_ray.errors import TrackingError

#: Below this much shared memory Ray puts its object store on disk. Docker's default is 64 MB.
SHARED_MEMORY_GB = 1.0

#: Each of Ray's processes holds sockets to many others; Ray's own advice is 65,536.
OPEN_FILES = 4096

#: Above this share of a disk in use Ray makes no new objects on it (RAY_local_fs_capacity_threshold).
DISK_SHARE = 0.95

#: A Ray whose folder is younger may be starting.
STARTING_SECONDS = 120.0

#: Where `make ui` shows MLflow unless it is told otherwise.
UI_PORT = 5000


def checks() -> Iterator[Check]:
    """All of them; none starts anything."""
    yield _shared_memory()
    if sys.platform == "linux":
        yield open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))
    yield _temporary_folder()
    yield loopback()
    yield from _rays()
    yield _ui_port()
    yield _gpu()


def _shared_memory() -> Check:
    folder = Path("/dev/shm")  # noqa: S108  # asked for its size, nothing is written
    if not folder.is_dir():
        return Check("shared memory", "ok", "this system has no /dev/shm; Ray uses its own place")
    return shared_memory(shutil.disk_usage(folder).total)


def shared_memory(size: int) -> Check:
    """size: of /dev/shm, in bytes."""
    level: Level = "ok" if size >= SHARED_MEMORY_GB * 1e9 else "warning"
    slow = "" if level == "ok" else ", so Ray puts its object store on disk, which is slow"
    remedy = "In Docker: docker run --shm-size=4g ...; elsewhere: mount -o remount,size=4G /dev/shm"
    return judge("shared memory", level, f"{size / 1e9:.2g} GB{slow}", remedy)


def open_files(soft: int, hard: int) -> Check:
    """The limits of RLIMIT_NOFILE, -1 (infinity) for none."""
    few = 0 <= soft < OPEN_FILES
    can = hard < 0 or hard >= OPEN_FILES
    remedy = (
        f"ulimit -n {65536 if hard < 0 else min(hard, 65536)}   (in the shell that starts the experiment)"
        if can
        else "Raise nofile in /etc/security/limits.conf and log in again; in Docker: --ulimit nofile=65536:65536"
    )
    detail = "without limit" if soft < 0 else f"{soft:,} at once"
    return judge("open files", "warning" if few else "ok", detail, remedy)


def _temporary_folder() -> Check:
    folder = tempfile.gettempdir()
    disk = shutil.disk_usage(folder)
    full = disk.used / disk.total > DISK_SHARE
    detail = f"{folder} has {disk.free / 1e9:.1f} GB free of {disk.total / 1e9:.0f} GB"
    spills = "; Ray keeps its objects off a disk that is so full" if full else ""
    return judge(
        "temporary files",
        "warning" if full else "ok",
        detail + spills,
        "Free some, or name another disk: export TMPDIR=/path",
    )


def loopback() -> Check:
    """A local Ray and its dashboard speak over 127.0.0.1: not through a proxy, not through a firewall."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        remedy = "Let this machine speak to itself: bring up `lo` (ip link set lo up), allow 127.0.0.1 in the firewall"
        return Check("loopback", "problem", f"127.0.0.1 cannot be reached from here ({error})", remedy)
    if "http" in urllib.request.getproxies() and not urllib.request.proxy_bypass("127.0.0.1"):
        return Check(
            "loopback",
            "warning",
            "an HTTP proxy is set for 127.0.0.1 too: questions to Ray's dashboard and to MLflow may go to it",
            "export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost",
        )
    return Check("loopback", "ok", "127.0.0.1 answers, free ports can be had")


def _rays() -> Iterator[Check]:
    """Other Rays of this machine, and folders that a local Ray of ours left behind when it was ended by force."""
    running = list(_commands("gcs_server"))
    detail = (
        f"{len(running)} more run(s) here: they share its CPUs and memory, and `--address auto` may find them"
    )
    remedy = "If nobody needs them: ray stop   (it ends every Ray of this machine that is yours)"
    none = "no other Ray runs on this machine"
    yield judge("other Rays", "warning" if running else "ok", detail if running else none, remedy)
    old = list(_old_sessions(time.time() - STARTING_SECONDS))
    if old:
        detail = (
            f"{len(old)} folder(s) of Rays that were ended by force: {', '.join(f.name for f in old[:3])}"
        )
        yield Check("old sessions", "warning", detail, f"rm -r {' '.join(map(str, old))}")


def _old_sessions(before: float) -> Iterator[Path]:
    used = " ".join(_commands("raylet"))
    for folder in Path(tempfile.gettempdir()).glob("clef-ray-????????"):
        with contextlib.suppress(FileNotFoundError):  # its Ray ended just now
            found = folder.stat()
            if found.st_uid == os.getuid() and found.st_mtime < before and str(folder) not in used:
                yield folder


def _commands(name: str) -> Iterator[str]:
    """The command lines of this machine's processes of that name."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it ended meanwhile, or is another user's
            if process.name() == name:
                yield " ".join(process.cmdline())


def _ui_port() -> Check:
    from clef_ray.tracking.reach import reach

    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", UI_PORT)) != 0:
            return Check("port 5000", "ok", "free for MLflow's pages (make ui)")
    try:
        reach(f"http://127.0.0.1:{UI_PORT}")
    except TrackingError:
        taken = "something other than MLflow listens there (on macOS: AirPlay)"
        return Check("port 5000", "warning", taken, "make ui PORT=5001")
    return Check("port 5000", "ok", "MLflow's pages are there already")


def _gpu() -> Check:
    import torch

    device = any(Path("/dev").glob("nvidia[0-9]*"))
    seen = torch.cuda.device_count()
    return gpu(device, torch.version.cuda, driver_cuda(("libcuda.so.1",)), seen, _tried() if seen else "")


def _tried() -> str:
    """Why a product on the first GPU cannot be had; empty where it can. The first one shows whether the build knows the device."""
    import torch

    try:
        torch.ones(8, 8, device="cuda").matmul(torch.ones(8, 8, device="cuda")).sum().item()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


def driver_cuda(names: Iterable[str]) -> tuple[int, int] | None:
    """The newest CUDA that the driver serves, by asking it (cuDriverGetVersion); None where none of these libraries can be loaded."""
    for name in names:
        with contextlib.suppress(OSError):
            version = ctypes.c_int()
            if ctypes.CDLL(name).cuDriverGetVersion(ctypes.byref(version)) == 0:
                return version.value // 1000, version.value % 1000 // 10
    return None


def gpu(device: bool, build: str | None, driver: tuple[int, int] | None, seen: int, failed: str) -> Check:
    """device: whether the system has an NVIDIA device; build: the CUDA of torch's build, None for the CPU's; driver: the newest that the
    driver serves; seen: devices that torch sees; failed: why the first one cannot compute.
    """
    served = "no driver library" if driver is None else f"a driver for CUDA {driver[0]}.{driver[1]}"
    if not device and not seen:
        return Check("gpu", "ok", "none here; trials train on CPUs")
    if build is None:
        remedy = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128"
        return Check(
            "gpu",
            "problem",
            f"there is an NVIDIA device ({served}), but torch is built for CPUs only",
            remedy,
        )
    if driver is None:
        remedy = "Install NVIDIA's driver; in Docker: docker run --gpus all ..."
        return Check(
            "gpu", "problem", "there is an NVIDIA device but no driver library (libcuda.so.1)", remedy
        )
    if driver[0] < int(build.split(".")[0]):
        said = f"torch is built for CUDA {build}, the driver serves up to {driver[0]}.{driver[1]}"
        remedy = f"Update the driver, or: pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu{driver[0]}{driver[1]}"
        return Check("gpu", "problem", said, remedy)
    if not seen:
        said = f"there is an NVIDIA device ({served}), and torch for CUDA {build} sees none"
        return Check(
            "gpu",
            "problem",
            said,
            "unset CUDA_VISIBLE_DEVICES; in Docker: docker run --gpus all ...; nvidia-smi says more",
        )
    if failed:
        remedy = "Install the build of PyTorch for this device: https://pytorch.org/get-started/locally"
        return Check("gpu", "problem", f"torch sees {seen} and cannot compute on the first: {failed}", remedy)
    return Check("gpu", "ok", f"torch for CUDA {build} computes on {seen} device(s), {served}")
