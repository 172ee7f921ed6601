"""A task on one encoder and one corpus: looks up what the task's kind asks for, and names the metrics."""

from importlib import import_module

from clef_ray.evaluate.problem import Material, Unanswerable
from clef_ray.evaluate.result import TaskResult
from clef_ray.registry import unknown
from clef_ray.tasks import Task

__all__ = ["KINDS", "TaskResult", "run_task"]

#: kind -> the file below clef_ray/evaluate whose function of the same name answers it: `function(task, material) -> TaskResult`.
KINDS = ("classes", "values", "beats", "identification", "zeroshot", "geometry", "shift")


def run_task(task: Task, material: Material) -> TaskResult:
    """The metrics of `task`, each name beginning with the task's prefix (`probe/auroc`, `zeroshot/rsa`).

    A corpus that lacks what the task needs: a result without estimates whose `skipped` says what. Raises DataError for data that do not
    fit together.
    """
    if task.kind not in KINDS:
        raise unknown("kind of task", task.kind, KINDS, "clef_ray/evaluate")
    # scikit-learn costs a second to import: only an evaluation pays it, not everything that mentions a TaskResult.
    answer = getattr(import_module(f"clef_ray.evaluate.{task.kind}"), task.kind)
    try:
        result: TaskResult = answer(task, material)
    except Unanswerable as lacking:
        return TaskResult(skipped=str(lacking), notes=lacking.notes)
    return result.prefixed(task.prefix)
