"""CMA-ES as Optuna has it, but for what it reads from the study's database.

Optuna keeps the state of CMA-ES between two configurations as a pickle in the database; whoever can write there could run code in every
process that goes on with the study. Here a state is read as what it is, numbers in an object of the package cmaes, and nothing else.
"""

import io
import pickle
from collections.abc import Sequence
from typing import Any

from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

from clef_ray.errors import TrackingError

#: What the pickled state of cmaes.CMA (without its random generator, which it leaves out) names; each of them only holds numbers.
_PLAIN = {
    ("cmaes._cma", "CMA"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}


class StoredCmaEsSampler(CmaEsSampler):  # type: ignore[misc]
    """Optuna's sampler, whose stored state cannot carry code. TrackingError: the database holds something else in its place."""

    def _restore_optimizer(self, completed_trials: Sequence[FrozenTrial]) -> Any:
        for trial in reversed(completed_trials):
            prefix = self._attr_key_optimizer
            pieces = {k: v for k, v in trial.system_attrs.items() if k.startswith(prefix)}
            if pieces:
                return _read(self._concat_optimizer_attrs(pieces), trial.number)
        return None


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of it")
        return super().find_class(module, name)


def _read(state: str, number: int) -> Any:
    try:
        return _Plain(io.BytesIO(bytes.fromhex(state))).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise TrackingError(
            f"the study's trial {number} does not hold a state of CMA-ES ({error}), and is not read further: it is damaged, or a stranger "
            "has written into the database"
        ) from error
