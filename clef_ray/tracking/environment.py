"""What a result was computed with: the machine and the installed packages. Names, versions and sizes; no user, host or path."""

import os
import platform
from importlib.metadata import distributions
from pathlib import Path

import psutil
import torch


def machine() -> dict[str, str]:
    """The driver's machine: platform, python, cpu, cores, memory (GiB), gpus (`none` where torch sees none)."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cpu": _processor(),
        "cores": str(os.cpu_count() or "unknown"),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "gpus": ", ".join(gpus) or "none",
    }


def packages() -> str:
    """Every installed distribution as a line `name==version`, sorted: what `pip install -r` takes."""
    lines = {f"{found.name}=={found.version}" for found in distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def _processor() -> str:
    """The model's name. Python's own answer on Linux is only the architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
