"""L2 logistic regression of many classes at once, along a path of strengths, on as many records as a corpus has.

    min_w  1/2 |w|^2 + C sum_n loss(y_n, x_n . w + b)        b is not penalised

loss: of each class by itself the binomial, or of all together the multinomial log loss (softmax, symmetric: one w per class).
Truncated Newton steps (Nocedal & Wright 2006, Numerical Optimization, algorithm 7.1) whose linear systems are solved by conjugate
gradients. What makes it fast is that all classes share the products with x, which are read once per iteration, and that in x's principal
components the curvature is nearly diagonal, so that few iterations are needed.

Products are in single precision and summed in double. Shape letters: N records, P parameters per class (components and b), K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from clef_ray.evaluate.modes._components import PART, components
from clef_ray.evaluate.statistics import ratio

#: Done when a Newton step changes no training record's log odds by more.
TOLERANCE = 1e-3

#: A step solves its linear system to this share of the gradient, in the norm of the preconditioner.
RESIDUAL = 0.05

#: A step is shortened where it overshoots: where the slope behind it is more than this share of the one before.
OVERSHOOT = 0.25

#: Least mean p (1 - p) that the preconditioner assumes of a class: a separable one's goes to 0.
LEAST_CURVATURE = 1e-6

#: Bounds of the loops; what needs more is told to the caller.
MOST_STEPS, MOST_ITERATIONS, MOST_CUTS = 100, 200, 20


@dataclass(frozen=True, eq=False)
class Fit:
    """weight_DK, intercept_K: log odds (softmax: logits) are x @ weight + intercept. converged: of which classes, [K]."""

    weight_DK: NDArray[np.float64]
    intercept_K: NDArray[np.float64]
    converged_K: NDArray[np.bool_]

    def scores(self, x_ND: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log odds or logits of records, [N, K]."""
        return np.asarray(x_ND @ self.weight_DK.astype(x_ND.dtype) + self.intercept_K, dtype=np.float64)


def path(
    x_ND: NDArray[np.float32],
    positive_NK: NDArray[np.bool_],
    strengths: Sequence[float],
    *,
    exclusive: bool,
) -> Iterator[Fit]:
    """The fit under each inverse strength C, each started from the one before: give them ascending.

    x_ND: training records with features of mean 0; every class needs a positive and a negative among them. Log odds of training records
    equal those of the exact solution to well below TOLERANCE: the last step is the first that changes less.
    """
    basis_DR, square_R = components(x_ND)
    ones_N1 = np.ones((len(x_ND), 1), dtype=np.float32)
    z_NP = np.concatenate([x_ND @ basis_DR.astype(np.float32), ones_N1], axis=1)
    problem = _Problem(z_NP, np.append(square_R, len(x_ND)), positive_NK, exclusive)
    share_K = positive_NK.mean(axis=0)
    w_PK = np.zeros((z_NP.shape[1], positive_NK.shape[1]))
    w_PK[-1] = np.log(share_K) if exclusive else np.log(share_K / (1 - share_K))
    for strength in strengths:
        w_PK, converged_K = problem.minimise(w_PK, 1 / strength)
        yield Fit(basis_DR @ w_PK[:-1], w_PK[-1], converged_K)


@dataclass(frozen=True, eq=False)
class _Problem:
    """z_NP: records in their components, and a column of ones; square_P: the columns' sums of squares; exclusive: one loss for all classes."""

    z_NP: NDArray[np.float32]
    square_P: NDArray[np.float64]
    positive_NK: NDArray[np.bool_]
    exclusive: bool

    def minimise(
        self, w_PK: NDArray[np.float64], penalty: float
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The best w from this one on, and which classes have converged, [K]: those that have are left alone."""
        w_PK, margin_NK = w_PK.copy(), self.z_NP @ w_PK.astype(np.float32)
        live_K = np.arange(w_PK.shape[1])
        for _ in range(MOST_STEPS):
            problem = replace(self, positive_NK=self.positive_NK[:, live_K])
            step = problem.newton_step(w_PK[:, live_K], margin_NK[:, live_K], penalty)
            length_K = problem.length(w_PK[:, live_K], margin_NK[:, live_K], step, penalty)
            w_PK[:, live_K] += length_K * step.w_PK
            margin_NK[:, live_K] += length_K.astype(np.float32) * step.margin_NK
            moves_K = np.abs(step.margin_NK).max(axis=0) > TOLERANCE
            live_K = live_K[moves_K.any() | moves_K if self.exclusive else moves_K]
            if not len(live_K):
                break
        return w_PK, ~np.isin(np.arange(w_PK.shape[1]), live_K)

    def newton_step(
        self, w_PK: NDArray[np.float64], margin_NK: NDArray[np.float32], penalty: float
    ) -> "_Step":
        """From w towards the minimum of the second-order model there, by preconditioned conjugate gradients."""
        p_NK, ridge_P1 = self._probability(margin_NK), self._ridge(penalty)
        gradient_PK = ridge_P1 * w_PK + self._gather(p_NK - self.positive_NK)
        curvature_K = (p_NK * (1 - p_NK)).mean(axis=0, dtype=np.float64)
        diagonal_PK = ridge_P1 + self.square_P[:, None] * np.maximum(curvature_K, LEAST_CURVATURE)
        step_PK, moved_NK = np.zeros_like(w_PK), np.zeros_like(margin_NK)
        residual_PK = -gradient_PK
        direction_PK = residual_PK / diagonal_PK
        left_K = first_K = self._dot(residual_PK, direction_PK)
        for _ in range(MOST_ITERATIONS):
            image_NK, curved_PK = self._curved(p_NK, direction_PK)
            curved_PK += ridge_P1 * direction_PK
            along_K = ratio(left_K, self._dot(direction_PK, curved_PK))
            step_PK += along_K * direction_PK
            moved_NK += along_K.astype(np.float32) * image_NK
            residual_PK -= along_K * curved_PK
            scaled_PK = residual_PK / diagonal_PK
            now_K = self._dot(residual_PK, scaled_PK)
            if (now_K <= RESIDUAL**2 * first_K).all():
                break
            direction_PK = scaled_PK + ratio(now_K, left_K) * direction_PK
            left_K = now_K
        return _Step(step_PK, moved_NK, slope_K=self._dot(gradient_PK, step_PK))

    def length(
        self, w_PK: NDArray[np.float64], margin_NK: NDArray[np.float32], step: "_Step", penalty: float
    ) -> NDArray[np.float64]:
        """How much of the step to go, [K] (softmax: [1]): 1, or less where that would be too far."""
        length_K = np.ones_like(step.slope_K)
        for _ in range(MOST_CUTS):
            p_NK = self._probability(margin_NK + length_K.astype(np.float32) * step.margin_NK)
            behind_PK = self._ridge(penalty) * (w_PK + length_K * step.w_PK)
            slope_K = self._dot(behind_PK, step.w_PK) + self._dot(p_NK - self.positive_NK, step.margin_NK)
            far_K = slope_K > -OVERSHOOT * step.slope_K
            if not far_K.any():
                break
            # Where a straight line between the two slopes is zero; at least a tenth, so that it ends.
            cut_K = np.maximum(ratio(-step.slope_K, slope_K - step.slope_K), 0.1)
            length_K = np.where(far_K, cut_K * length_K, length_K)
        return length_K

    def _probability(self, margin_NK: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(softmax(margin_NK, axis=1) if self.exclusive else expit(margin_NK))

    def _ridge(self, penalty: float) -> NDArray[np.float64]:
        ridge_P1 = np.full((len(self.square_P), 1), penalty)
        ridge_P1[-1] = 0
        return ridge_P1

    def _dot(self, a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
        """Inner products of the classes by themselves [K], or of all in one [1]."""
        dot_K = np.einsum("nk,nk->k", a, b, dtype=np.float64)
        return np.asarray(dot_K.sum(keepdims=True) if self.exclusive else dot_K)

    def _gather(self, residual_NK: NDArray[np.float32]) -> NDArray[np.float64]:
        """The products of residuals with the columns of z, [P, K]."""
        total_PK = np.zeros((self.z_NP.shape[1], residual_NK.shape[1]))
        for part in _parts(len(residual_NK)):
            total_PK += self.z_NP[part].T @ residual_NK[part]
        return self._balanced(total_PK)

    def _curved(
        self, p_NK: NDArray[np.float32], direction_PK: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """(z v [N, K], z' H z v [P, K]), H the second derivatives of the loss by the margins; z is read once for both."""
        image_NK, total_PK = np.empty_like(p_NK), np.zeros_like(direction_PK)
        direction_PK = direction_PK.astype(np.float32)
        for part in _parts(len(p_NK)):
            z_CP, p_CK = self.z_NP[part], p_NK[part]
            image_CK = np.matmul(z_CP, direction_PK, out=image_NK[part])
            if self.exclusive:
                image_CK = image_CK - (p_CK * image_CK).sum(axis=1, keepdims=True)
                total_PK += z_CP.T @ (p_CK * image_CK)
            else:
                total_PK += z_CP.T @ (p_CK * (1 - p_CK) * image_CK)
        return image_NK, self._balanced(total_PK)

    def _balanced(self, total_PK: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of a softmax the classes' derivatives cancel. Rounding does not: it would push all b alike, which nothing pulls back."""
        return total_PK - total_PK.mean(axis=1, keepdims=True) if self.exclusive else total_PK


@dataclass(frozen=True, eq=False)
class _Step:
    """w_PK: the step; margin_NK: what it changes in the records' log odds; slope_K: of the loss along it, at its start."""

    w_PK: NDArray[np.float64]
    margin_NK: NDArray[np.float32]
    slope_K: NDArray[np.float64]


def _parts(records: int) -> Iterator[slice]:
    for start in range(0, records, PART):
        yield slice(start, start + PART)
