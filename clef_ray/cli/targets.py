"""What an experiment asks where its user names further corpora, or leaves some of its own out."""

from collections.abc import Mapping
from dataclasses import replace

from clef_ray.ablation import Ablation
from clef_ray.errors import ConfigError


def judged_on(ablation: Ablation, data: str, targets: Mapping[str, str]) -> Ablation:
    """The ablation with a headline for these targets (name -> data) and no others. data: the corpus of pretraining, as the user named it.

    A target that it does not declare is compared in the headline metrics of the corpus of pretraining, under its own name: at the end; or
    first, so that it decides the answer, where the experiment asks about other corpora first and neither its data nor the target's are
    made up. What was said of a declared target that is left out goes: its metrics, gaps that need it, its clouds. ConfigError where no
    headline is left.
    """
    left_out = ablation.targets.keys() - targets.keys()
    gaps = {n: pair for n, pair in ablation.gaps.items() if not left_out & {*map(_corpus, pair)}}
    headline = [
        m for m in ablation.headline if _corpus(m) not in left_out and (m in gaps or m not in ablation.gaps)
    ]
    if not headline:
        raise ConfigError(
            f"--target: without {', '.join(sorted(left_out))} nothing is left that {ablation.name} asks; give other data in its place"
        )
    home = [m for m in headline if m not in gaps and _corpus(m) not in ablation.targets]
    added = [name for name in targets if name not in ablation.targets]
    elsewhere = _corpus(headline[0]) in ablation.targets and not _made_up(data)
    first = [name for name in added if elsewhere and not _made_up(targets[name])]
    last = [name for name in added if name not in first]
    leading, trailing = ([f"{name}/{m}" for m in home for name in names] for names in (first, last))
    return replace(
        ablation,
        headline=(*leading, *headline, *trailing),
        gaps=gaps,
        targets={n: d for n, d in ablation.targets.items() if n in targets},
        clouds=None if ablation.clouds in left_out else ablation.clouds,
    )


def _corpus(metric: str) -> str:
    """What a metric's name begins with: a target, where it is of one."""
    return metric.partition("/")[0]


def _made_up(data: str) -> bool:
    return data.startswith("synthetic")
