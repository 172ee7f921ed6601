"""What a sweep has found: the Pareto front of its objectives, and which member of it wins by the rule that the sweep declares."""

from collections.abc import Sequence

from clef_ray.search import Configuration, Objective, Winner


def front(
    rows: Sequence[Configuration], objectives: Sequence[Objective], rule: Winner
) -> tuple[Configuration, ...]:
    """The winner, then the other candidates that none beats in every objective, by the first one; empty where there is no candidate.

    rows: the candidates. rule: as in `clef_ray.search.Search`. A candidate's rank in an objective is how many are strictly better in it, so
    what weighs is order and not the objectives' units. Equals go by number.
    """
    signs = [-1.0 if o.direction == "maximize" else 1.0 for o in objectives]
    losses = {
        r.number: [s * r.values[o.metric] for s, o in zip(signs, objectives, strict=True)] for r in rows
    }

    def beaten(row: Configuration) -> bool:
        own = losses[row.number]
        return any(other != own and _nowhere_worse(other, own) for other in losses.values())

    def ranks(row: Configuration) -> int:
        own = losses[row.number]
        return sum(a < b for other in losses.values() for a, b in zip(other, own, strict=True))

    found = sorted((r for r in rows if not beaten(r)), key=lambda r: (losses[r.number][0], r.number))
    if found and rule == "balanced":
        winner = min(found, key=ranks)  # the first of equals: the better one by the first objective
        found = [winner, *(r for r in found if r is not winner)]
    return tuple(found)


def _nowhere_worse(losses: Sequence[float], than: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(losses, than, strict=True))
