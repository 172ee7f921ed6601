"""The command for a larger budget: what the ablation proposes, on top of what its user had asked for."""

import shlex

from clef_ray.ablation import Plan
from clef_ray.evaluate.inputs import FOLDS

#: Options of the command that was given which a larger one does not repeat; which data, folds and arms is read from the plan.
_LEFT_OUT = ("--data", "--rotate", "--arms", "--smoke", "--dry-run")

#: Options that may stand several times, each time as KEY=VALUE for another key.
_KEYED = ("--set", "--target")


def larger(plan: Plan, options: str = "") -> str:
    """The command, empty where the ablation names none. options: the user's own, as they are typed.

    Where both say something, the larger number stands, else the ablation's word. Synthetic data grow and keep the user's other keys; the
    user's own data stay, and so does each further corpus (`--target`). The arms are those that were chosen.
    """
    if not plan.ablation.larger:
        return ""
    asked, more = _by_name(options), _by_name(plan.ablation.larger)
    kept = {name: value for name, value in asked.items() if name not in _LEFT_OUT}
    merged = {name: _merged(name, value, kept.get(name)) for name, value in more.items()}
    if plan.data_name.partition(":")[0] != "synthetic":
        merged = {"--data": plan.data_name, **{n: v for n, v in merged.items() if n != "--data"}}
    elif "--data" in merged:
        merged["--data"] = _grown(merged["--data"], plan.data_name)
    rest = {name: value for name, value in kept.items() if name not in merged}
    words = [word for name, value in (merged | rest).items() for word in _typed(name, value)]
    return f"python experiments/{plan.ablation.name}.py {shlex.join(words)}{_rotated(plan)}{_chosen(plan)}"


def _by_name(options: str) -> dict[str, str]:
    """Option -> its value; those of KEY=VALUE by option and key."""
    found: dict[str, str] = {}
    name = ""
    for word in (part for whole in shlex.split(options) for part in _parts(whole)):
        if word.startswith("--"):
            name = word
            found.setdefault(name, "")
        elif name in _KEYED:
            key, _, value = word.partition("=")
            found[f"{name} {key}"] = value
        else:
            found[name] = word
    return {name: value for name, value in found.items() if name not in _KEYED}


def _parts(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--") and "=" in word else [word]


def _typed(name: str, value: str) -> list[str]:
    option, _, key = name.partition(" ")
    return [option, f"{key}={value}"] if key else [word for word in (option, value) if word]


def _merged(name: str, proposed: str, asked: str | None) -> str:
    """What stands of one option. Of two made-up corpora of one kind the keys of both, else the corpus that the user gave."""
    if asked is None or not name.startswith("--target "):
        return _larger(proposed, asked or "")
    kind = proposed.partition(":")[0]
    alike = kind.startswith("synthetic") and kind == asked.partition(":")[0]
    return _grown(proposed, asked) if alike else asked


def _larger(proposed: str, asked: str) -> str:
    """The larger one of two numbers, else what is proposed."""
    try:
        return asked if float(asked) > float(proposed) else proposed
    except ValueError:
        return proposed


def _grown(proposed: str, asked: str) -> str:
    """`synthetic:key=value,...` of both."""
    name, _, more = proposed.partition(":")
    own, new = (
        dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
        for text in (asked.partition(":")[2], more)
    )
    merged = {key: _larger(value, own.get(key, "")) for key, value in new.items()}
    merged |= {key: value for key, value in own.items() if key not in merged}
    return f"{name}:{','.join(f'{k}={v}' for k, v in merged.items())}" if merged else name


def _rotated(plan: Plan) -> str:
    """` --rotate ...`, of one report of the means over folds."""
    if not plan.rotation:
        return ""
    return " --rotate" if plan.rotation == FOLDS else f" --rotate {' '.join(map(str, plan.rotation))}"


def _chosen(plan: Plan) -> str:
    """` --arms ...` where they are not the ablation's own choice; at the end, since the option takes all that follows."""
    chosen = list(dict.fromkeys(trial.arm.name for trial in plan.trials))
    if set(chosen) == {arm.name for arm in plan.ablation.arms}:
        return ""
    every = set(chosen) == {arm.name for arm in plan.ablation.every}
    return f" --arms {'all' if every else shlex.join(chosen)}"
