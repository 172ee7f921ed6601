"""The linear probe: all classes and strengths at once against scikit-learn's logistic regression, class by class.

The plain side is measured on a few classes, spread from common to rare, and scaled up. It stops at scikit-learn's default tolerance, which
is far from as near to the solution as ours: equally near it would take several times as long.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from clef_ray.bench.measure import Figure, in_seconds
from clef_ray.evaluate.modes._logistic import path
from clef_ray.evaluate.modes.linear import C_PATH

#: The target, at 100,000 records x 1,024 features x 44 classes.
FASTER = 5.0


@dataclass(frozen=True)
class Sizes:
    """part: classes of the plain side; rounds: of both sides."""

    records: int
    features: int
    classes: int
    part: int
    rounds: int


class Case:
    """Features with a falling spectrum, as embeddings have, and classes from common (half) to rare (1 %) that follow directions of theirs."""

    def __init__(self, sizes: Sizes) -> None:
        rng = np.random.default_rng(0)
        self.sizes = sizes
        mixing_DD = (
            rng.normal(size=(sizes.features, sizes.features)) / np.arange(1, sizes.features + 1)[:, None]
        )
        latent_ND = rng.standard_normal((sizes.records, sizes.features), dtype=np.float32)
        self.x_ND: NDArray[np.float32] = latent_ND @ mixing_DD.astype(np.float32)
        self.x_ND -= self.x_ND.mean(axis=0)
        self.x_ND /= self.x_ND.std(axis=0)
        score_NK = self.x_ND @ rng.normal(size=(sizes.features, sizes.classes)).astype(np.float32)
        score_NK = 2 * score_NK / score_NK.std(axis=0) + rng.logistic(size=score_NK.shape)
        cuts = np.quantile(score_NK, 1 - np.geomspace(0.5, 0.01, sizes.classes), axis=0).diagonal()
        self.positive_NK: NDArray[np.bool_] = score_NK > cuts

    def ours(self) -> float:
        """Seconds of all classes and strengths."""
        begin = time.perf_counter()
        for _ in path(self.x_ND, self.positive_NK, C_PATH, exclusive=False):
            pass
        return time.perf_counter() - begin

    def plain(self) -> float:
        """Seconds of all classes and strengths, from those of a few classes, each strength started from the one before."""
        chosen = np.linspace(0, self.sizes.classes - 1, self.sizes.part).astype(int)
        x_ND = self.x_ND.astype(np.float64)
        begin = time.perf_counter()
        for k in chosen:
            model = LogisticRegression(warm_start=True, max_iter=1000)
            for strength in C_PATH:
                model.set_params(C=strength).fit(x_ND, self.positive_NK[:, k])
        return (time.perf_counter() - begin) * self.sizes.classes / self.sizes.part


def probes(sizes: Sizes, say: Callable[[str], None]) -> Figure:
    """Seconds of the whole path. The target is of the full size only."""
    say(f"linear probe of {sizes.records:,} x {sizes.features:,} x {sizes.classes}")
    case = Case(sizes)
    timed = in_seconds([(case.ours(), case.plain()) for _ in range(sizes.rounds)])
    full = (sizes.records, sizes.features, sizes.classes) == (100_000, 1024, 44)
    return replace(
        timed,
        name=f"linear probe, {sizes.records:,} x {sizes.features:,} x {sizes.classes}",
        target=f">= {FASTER:g}x" if full else "",
        met=(timed.ratio or 0.0) >= FASTER if full else None,
        note=f"Linear probe: {len(C_PATH)} strengths, all classes at once; plain is scikit-learn's lbfgs at its default tolerance, float64, "
        f"{sizes.part} of {sizes.classes} classes scaled up.",
    )
