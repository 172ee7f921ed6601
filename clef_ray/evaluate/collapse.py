"""When an embedding looks collapsed: one definition, for the warning that people get and for the rule by which a sweep stops a run.

Plain numbers of one epoch in, words out; what the metrics are stands in monitor.py.
"""

from collections.abc import Mapping

#: Effective rank below which nearly everything lies along one direction. It is 1 where all patients get the same direction. The encoders here
#: have 2.4 (LSTM) to 46 (ConvNeXtV2) before any training, on 101 patients of the synthetic cohort (5 s at 100 Hz).
LEAST_RANK = 2.0

#: Spread below which the directions of two patients are the same to about a hundredth. The same untrained encoders have 0.06 to 0.47, so
#: neither limit takes an encoder that has merely not learnt anything yet for a collapsed one.
LEAST_STD = 0.01


def collapse(metrics: Mapping[str, float], least_rank: float = LEAST_RANK) -> str | None:
    """What of an epoch's metrics looks collapsed, in words; None where nothing does, or where the epoch tells neither metric.

    metrics: those of `Monitor`; others are passed over, so histories from before there were as many can be asked too.
    """
    for name, what, least, decimals in (
        ("embedding/effective_rank", "effective rank", least_rank, 2),
        ("embedding/std", "spread (embedding/std)", LEAST_STD, 4),
    ):
        if name in metrics and metrics[name] < least:
            return f"{what} of the embedding {metrics[name]:.{decimals}f}, below {least:g}"
    return None
