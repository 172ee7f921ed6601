"""Which views an anchor is contrasted with."""

from typing import Literal

import torch
from torch import Tensor

from clef_ray.errors import ConfigError
from clef_ray.randomness import fold, hash_u32, uniform

Choice = Literal["random", "hardest", "risk_near", "risk_far", "stratified"]


def check_negatives(negatives: int | None, queue: int, where: str) -> None:
    """ConfigError unless `negatives` is None (all) or at least 1, and the queue 0 or more."""
    if negatives is not None and negatives < 1:
        raise ConfigError(
            f"{where}.negatives: {negatives} given; allowed is None (all) or a number from 1 to 2B - 2 + queue"
        )
    if queue < 0:
        raise ConfigError(f"{where}.queue: {queue} given; allowed is 0 (none) or a number of views")


def refuse_too_many(negatives: int | None, batch: int, queue: int, where: str) -> None:
    """ConfigError where a batch of `batch` subjects and a full queue never hold as many as 2B - 2 + queue."""
    if negatives is not None and negatives > 2 * batch - 2 + queue:
        raise ConfigError(
            f"{where}.negatives: {negatives} given; a batch of {batch} subjects"
            f"{f' and a queue of {queue}' if queue else ''} has at most {2 * batch - 2 + queue} per anchor"
        )


def allowed(skip: tuple[Tensor, Tensor], like_CV: Tensor) -> Tensor:
    """[C, V] True but for the pairs to skip."""
    allowed_CV = torch.ones_like(like_CV, dtype=torch.bool)
    allowed_CV[skip] = False
    return allowed_CV


def random_choice(allowed_CV: Tensor, rows_C: Tensor, negatives: int, key: tuple[int, int]) -> Tensor:
    """[C, V] True for exactly `negatives` of each row's candidates, every one as likely; all of them where a row has fewer.

    The batch, and so the encoder's work and its normalisation, stays the same whatever the number. Each (row, column)
    has its own number drawn by counter from (seed, step): the choice does not depend on which worker computes which
    rows.
    """
    views = allowed_CV.shape[1]
    if negatives >= views:
        return allowed_CV
    view_V = torch.arange(views, device=rows_C.device)
    # all different: ties go to the lower column
    order_CV = torch.where(allowed_CV, _drawn(rows_C, views, key), 1 << 32) * views + view_V
    last_C1 = order_CV.kthvalue(negatives, dim=1, keepdim=True).values
    return allowed_CV & (order_CV <= last_C1)


def hardest(allowed_CV: Tensor, s_CV: Tensor, negatives: int) -> Tensor:
    """[C, V] True for the `negatives` candidates that are most similar to the anchor."""
    views = allowed_CV.shape[1]
    if negatives >= views:
        return allowed_CV
    top_CN = torch.where(allowed_CV, s_CV, -torch.inf).topk(negatives, dim=1).indices
    return allowed_CV & torch.zeros_like(allowed_CV).scatter_(1, top_CN, True)


def by_distance(
    allowed_CV: Tensor,
    distance_CV: Tensor,
    known_V: Tensor,
    rows_C: Tensor,
    negatives: int,
    key: tuple[int, int],
) -> Tensor:
    """[C, V] True for the `negatives` candidates of least `distance_CV` (give its negative for the farthest).

    Unknown risks come last, equal ones in drawn order, as all do for an anchor of unknown risk.
    """
    views = allowed_CV.shape[1]
    if negatives >= views:
        return allowed_CV
    far = torch.finfo(distance_CV.dtype).max
    distance_CV = torch.where(known_V, distance_CV, far)
    distance_CV = torch.where(known_V[rows_C, None], distance_CV, 0)
    distance_CV = torch.where(allowed_CV, distance_CV, torch.inf)
    first_CN = _ordered(distance_CV, rows_C, key)[:, :negatives]
    return allowed_CV & torch.zeros_like(allowed_CV).scatter_(1, first_CN, True)


def stratified(
    allowed_CV: Tensor, risk_V: Tensor, known_V: Tensor, rows_C: Tensor, negatives: int, key: tuple[int, int]
) -> Tensor:
    """[C, V] True for one candidate of each of `negatives` strata of equal size, from the lowest risk to the highest, unknown last."""
    views = allowed_CV.shape[1]
    if negatives >= views:
        return allowed_CV
    value_V = torch.where(known_V, risk_V, torch.finfo(risk_V.dtype).max)
    order_CV = _ordered(torch.where(allowed_CV, value_V, torch.inf), rows_C, key)
    count_C1 = allowed_CV.sum(1, keepdim=True)
    stratum_N = torch.arange(negatives, device=rows_C.device)
    # candidate m of M lies in stratum floor(m N / M): stratum j begins at ceil(j M / N)
    begin_CN = (stratum_N * count_C1 + negatives - 1) // negatives
    end_CN = ((stratum_N + 1) * count_C1 + negatives - 1) // negatives
    lot_CN = uniform(fold("stratum", *key), rows_C[:, None], stratum_N)
    place_CN = begin_CN + (lot_CN * (end_CN - begin_CN)).long()
    chosen_CN = order_CV.gather(1, place_CN.clamp(max=views - 1))
    picked_CV = torch.zeros_like(allowed_CV).scatter_(1, chosen_CN, True)
    return allowed_CV & (picked_CV | (count_C1 <= negatives))


def _drawn(rows_C: Tensor, views: int, key: tuple[int, int]) -> Tensor:
    """[C, V] a number in [0, 2^32) for each pair of this step."""
    return hash_u32(fold("negatives", *key), rows_C[:, None], torch.arange(views, device=rows_C.device))


def _ordered(value_CV: Tensor, rows_C: Tensor, key: tuple[int, int]) -> Tensor:
    """[C, V] the views in ascending order of their value, equal ones in drawn order."""
    drawn_CV = _drawn(rows_C, value_CV.shape[1], key).argsort(dim=1, stable=True)
    by_value_CV = value_CV.gather(1, drawn_CV).argsort(dim=1, stable=True)
    return drawn_CV.gather(1, by_value_CV)
