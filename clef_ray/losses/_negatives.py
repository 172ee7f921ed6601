"""Which views an anchor is contrasted with."""

import torch
from torch import Tensor

from clef_ray.errors import ConfigError
from clef_ray.randomness import fold, hash_u32


def check_negatives(negatives: int | None, where: str) -> None:
    """ConfigError unless `negatives` is None (all) or at least 1."""
    if negatives is not None and negatives < 1:
        raise ConfigError(
            f"{where}.negatives: {negatives} given; allowed is None (all) or a number from 1 to 2B - 2"
        )


def candidates(rows_R: Tensor, patient_B: Tensor, same_patient: bool = False) -> Tensor:
    """[R, 2B] True where the column is neither the anchor nor its other view, nor (unless `same_patient`) another record of its patient."""
    subjects = len(patient_B)
    column_K = torch.arange(2 * subjects, device=rows_R.device)
    allowed_RK = (rows_R % subjects)[:, None] != column_K % subjects
    if not same_patient:
        allowed_RK &= patient_B[rows_R % subjects][:, None] != patient_B.repeat(2)
    return allowed_RK


def sample(candidates_RK: Tensor, rows_R: Tensor, negatives: int | None, key: tuple[int, int]) -> Tensor:
    """[R, 2B] True for exactly `negatives` of each row's candidates, every one as likely; all of them where a row has
    fewer.

    The batch, and so the encoder's work and its normalisation, stays the same whatever the number. Each (row, column)
    has its own number drawn by counter from (seed, step): the choice does not depend on which worker computes which
    rows. Raises ConfigError above 2B - 2.
    """
    columns = candidates_RK.shape[1]
    if negatives is None:
        return candidates_RK
    if negatives > columns - 2:
        raise ConfigError(
            f"negatives: {negatives} given; a batch of {columns // 2} subjects has at most {columns - 2} per anchor (2B - 2)"
        )
    column_K = torch.arange(columns, device=rows_R.device)
    drawn_RK = hash_u32(fold("negatives", *key), rows_R[:, None], column_K)
    order_RK = (
        torch.where(candidates_RK, drawn_RK, 1 << 32) * columns + column_K
    )  # all different: ties go to the lower column
    last_R1 = order_RK.kthvalue(negatives, dim=1, keepdim=True).values
    return candidates_RK & (order_RK <= last_R1)
