"""What zero-shot agreement found of many scores, as one result."""

from collections.abc import Mapping

from clef_ray.evaluate.result import TaskResult


def combined(found: Mapping[str, TaskResult], lacks: Mapping[str, str]) -> TaskResult:
    """Every name with its score's in front, `prevent-hf/rsa`; extras besides: `scores`, how many there are.

    found: score -> its result; lacks: score -> why it was not asked, empty where it was. A note that several scores share is there once, with
    their names.
    """
    notes: dict[str, list[str]] = {}
    for name, result in found.items():
        skipped = () if result.skipped is None else (f"skipped, {result.skipped}",)
        for note in (*skipped, *result.notes):
            notes.setdefault(note.removeprefix(f"{name}: "), []).append(name)
    told = [note if len(of) == len(found) else f"{', '.join(of)}: {note}" for note, of in notes.items()]
    left_out = told_lacks(lacks)
    every = [result.prefixed(name) for name, result in found.items()]
    return TaskResult(
        {key: estimate for result in every for key, estimate in result.estimates.items()},
        {"scores": float(len(found))} | {key: value for r in every for key, value in r.extras.items()},
        None,
        (*([f"not asked: {left_out}"] if left_out else []), *told),
    )


def told_lacks(lacks: Mapping[str, str]) -> str:
    """`acute (the corpus has no findings), constant (the same for everybody)`: what is not asked, and why."""
    return ", ".join(f"{name} ({reason})" for name, reason in lacks.items() if reason)
