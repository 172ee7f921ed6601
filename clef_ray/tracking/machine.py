"""How busy the machine is that runs the sweep: MLflow's own measurements, taken by a thread of ours.

MLflow's own thread ends for good at the first request that fails; this one only measures and hands on.
"""

import threading
from collections.abc import Callable, Mapping

import psutil
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

_SECONDS = 10.0  # between two samples


class Sampler:
    """Hands processor, memory, disk, network and (where MLflow can ask it) GPU figures to `report`, every 10 s between start and stop.

    Names and units are MLflow's: `system/cpu_utilization_percentage`, `system/system_memory_usage_megabytes`, ...
    """

    def __init__(self, report: Callable[[Mapping[str, float]], None], seconds: float = _SECONDS) -> None:
        self._report, self._seconds = report, seconds
        self._stop = threading.Event()

    def start(self) -> None:
        self._stop = threading.Event()
        threading.Thread(target=self._run, args=(self._stop,), name="machine", daemon=True).start()

    def stop(self) -> None:
        """No sample begins after this."""
        self._stop.set()

    def _run(self, stop: threading.Event) -> None:
        monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor(), *_gpus()]
        while not stop.wait(self._seconds):
            found: dict[str, float] = {}
            for monitor in monitors:
                try:
                    monitor.collect_metrics()
                except (psutil.Error, OSError):  # a machine that hides a figure: the others still count
                    continue
                found |= monitor.aggregate_metrics()
                monitor.clear_metrics()
            self._report({f"system/{name}": float(value) for name, value in found.items()})


def _gpus() -> list[GPUMonitor]:
    try:
        return [GPUMonitor()]
    except (ImportError, RuntimeError):  # no pynvml, or no NVIDIA driver: a machine without GPU
        return []
