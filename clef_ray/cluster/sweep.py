"""Ray Tune drives trials, each one pretraining and its evaluation: those of a plan (arms x seeds), or those an agenda names one by one.

The store is the truth: what it holds is not run again, and Tune's own state is thrown away. Trials of one worker reuse Tune's processes;
trials of several workers start a Ray Train group. How many run at once is computed before the start (capacity.py).
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray import tune

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.augment import require_bank
from clef_ray.cluster.agenda import Agenda, List, Watcher
from clef_ray.cluster.bridge import Asker, Bridge, Ends, Judge
from clef_ray.cluster.capacity import DRIVER_CPUS, Request
from clef_ray.cluster.interrupt import interruptible
from clef_ray.cluster.sharing import Shared
from clef_ray.cluster.stream import held, reading
from clef_ray.cluster.trainer import Source, pretrain_in_group, pretrain_in_process
from clef_ray.cluster.waiting import Patience, ready
from clef_ray.config import Run, Spec
from clef_ray.errors import ClefRayError
from clef_ray.evaluate.features import task_leads
from clef_ray.evaluate.judging import Judging
from clef_ray.lease import Leases
from clef_ray.shards import Corpus, Manifest, load_corpus
from clef_ray.store import Store
from clef_ray.train.loop import complete
from clef_ray.trial import evaluate, load_outcome, run_store

#: Read by Tune when it starts.
TUNE_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer reporter prints every failure even at verbose=0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # nobody reads its CSV and JSON files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is a KeyboardInterrupt here, not a sweep that looks as if it had ended
}


#: Records that this process reads by itself before others have started for it.
SMALL = 2_000


@dataclass(frozen=True)
class Work:
    """What every trial of a sweep shares; travels through the object store once."""

    judging: Judging
    storage: str
    request: Request
    source: Source
    corpus: Any  # ObjectRef[Corpus]
    targets: Mapping[str, Any]  # name -> ObjectRef[Corpus]


class Known:
    """What the store holds of trials that are judged as those of this plan are. A finished run's results are read once, however many ask."""

    def __init__(self, plan: Plan, storage: str) -> None:
        self._plan, self._storage = plan, storage
        self._found: dict[str, Outcome] = {}

    def __call__(self, trial: Trial) -> Outcome | None:
        mark, plan = trial.run.fingerprint(), self._plan
        if mark not in self._found:
            outcome = load_outcome(trial, plan.judging, self._storage)
            if outcome is None:
                return None
            self._found[mark] = outcome
        return replace(self._found[mark], trial=trial)


def _trial(config: Mapping[str, Any], work: Work) -> None:
    """Pretrain and evaluate one trial inside Tune's process."""
    run: Run = config["run"]
    if work.request.workers_per_trial == 1 or run.epochs == 0:
        pretrain_in_process(run, work.source, work.storage, work.request, tune.report)
    elif not complete(run_store(work.storage, run)):
        pretrain_in_group(run, work.source, work.storage, work.request, tune.report)
    begin = time.perf_counter()
    corpus: Corpus = ray.get(work.corpus)
    targets: dict[str, Corpus] = {name: ray.get(held) for name, held in work.targets.items()}
    store = run_store(work.storage, run)
    evaluate(run, work.judging, corpus, store, targets, device=_device(work.request))
    tune.report({"evaluate_seconds": time.perf_counter() - begin})


def _device(request: Request) -> str:
    return "cuda" if request.gpus_per_worker > 0 and request.workers_per_trial == 1 else "cpu"


def run_sweep(
    plan: Plan,
    folder: str,
    storage: str,
    request: Request,
    watchers: Sequence[Watcher] = (),
    *,
    agenda: Agenda | None = None,
    specimens: Sequence[Run] = (),
    retries: int = 1,
    known: Known | None = None,
    targets: Mapping[str, str] | None = None,
    guard: Callable[[], None] = lambda: None,
    say: Callable[[str], None] | None = None,
) -> list[Outcome]:
    """Run what the store does not hold yet; returns one Outcome per trial of the plan, in its order.

    agenda: what runs and when, the plan's unfinished trials where None; a trial that it names need not be in the plan, whose tasks, data
    and split judge it. specimens: runs that stand for all that the agenda may name, where the plan does not hold them: together they show
    every lead. targets: the folders of the plan's targets, by name. retries, guard: see `Bridge`. known: of this plan, where somebody has asked it before. say: told in words how the signals are read, and what is waited for.
    Raises CapacityError before anything starts when the cluster cannot hold one trial nor become one that does, and when no node comes, StorageError when nothing can be written.
    A failed trial does not stop the others. KeyboardInterrupt leaves finished epochs in the store; the same call goes on.
    """
    # Tune's processes work in folders of their own: every place is named in full.
    folder, storage = Store(folder).path(), Store(storage).path()
    Store(storage).check_writable()
    known = known or Known(plan, storage)
    missing = [t for t in plan.unique() if known(t) is None]
    with interruptible() as interrupts, Leases(Store(storage)) as leases:
        bridge = Bridge(
            known,
            agenda or List(missing),
            storage,
            watchers,
            interrupts,
            retries,
            Shared(leases, say or _silent),
            guard,
        )
        if (first := bridge.draw()) is not None:
            runs = [first.run, *(t.run for t in missing), *specimens]
            at_once = ready(request, say or _silent)
            _tune(_work(plan, runs, folder, storage, request, targets or {}, say), bridge, at_once)
    return collect(plan, known, bridge.ended)


def _silent(text: str) -> None: ...


def _work(
    plan: Plan,
    runs: Sequence[Run],
    folder: str,
    storage: str,
    request: Request,
    targets: Mapping[str, str],
    say: Callable[[str], None] | None,
) -> Work:
    rates = {r.signals.fs for r in runs}
    if len(rates) > 1:
        raise ClefRayError(
            f"the arms use different rates ({sorted(rates)} Hz); run them as separate experiments"
        )
    for run in runs:
        require_bank(run.views, storage)  # told now, not by the first trial that needs it
    manifest, fs = Manifest.load(folder), rates.pop()
    seen, judged = training_leads(runs, manifest.leads), task_leads(plan.tasks, manifest.leads)
    how = reading(manifest, manifest.records, fs, seen, judged)
    if say is not None:
        say(how.line)
    corpus = _corpus(folder, fs, how.leads, manifest)
    source = (
        Source(folder, fs, how.leads, corpus) if how.resident else Source(folder, fs, seen, judged=corpus)
    )
    judged_on = {name: _target(Store(target).path(), fs, plan.tasks) for name, target in targets.items()}
    return Work(plan.judging, storage, request, source, corpus, judged_on)


def _target(folder: str, fs: float, tasks: Sequence[Spec]) -> ray.ObjectRef[Corpus]:
    """A corpus that encoders are judged on: of its leads those that the tasks look at, one at least."""
    manifest = Manifest.load(folder)
    return _corpus(folder, fs, task_leads(tasks, manifest.leads) or manifest.leads[:1], manifest)


def _corpus(folder: str, fs: float, leads: tuple[str, ...], manifest: Manifest) -> ray.ObjectRef[Corpus]:
    if manifest.records <= SMALL:
        return ray.put(load_corpus(folder, fs, leads))
    return held(folder, fs, leads)


def training_leads(runs: Sequence[Run], leads: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the shards' leads that pretraining reads: all where one run draws them at random."""
    policies = {r.views.lead for r in runs}
    return leads if "random" in policies else tuple(lead for lead in leads if lead in policies)


def _tune(work: Work, bridge: Bridge, at_once: int) -> None:
    request = work.request
    resources = request.worker_resources() if request.workers_per_trial == 1 else {"CPU": DRIVER_CPUS}
    with tempfile.TemporaryDirectory(prefix="clef_ray-tune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(_trial, work=work), resources),
            tune_config=tune.TuneConfig(
                search_alg=Asker(bridge),
                scheduler=Judge(bridge),
                num_samples=-1,  # the searcher says when there are no more
                max_concurrent_trials=at_once,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="sweep", storage_path=scratch, verbose=0, callbacks=[Ends(bridge), Patience(bridge)]
            ),
        )
        with _quiet():
            try:
                tuner.fit()
            except (RuntimeError, tune.TuneError):
                if bridge.error is not None:  # Tune hands on a callback's error as text only
                    raise bridge.error from None
                raise
        bridge.interrupts.check()


@contextmanager
def _quiet() -> Iterator[None]:
    """Tune's own reports and warnings off: the watchers tell what happens, and every failure keeps its reason."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    os.environ.update(TUNE_SETTINGS)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name in TUNE_SETTINGS:
            del os.environ[name]


def collect(plan: Plan, known: Known, ended: Mapping[str, Outcome]) -> list[Outcome]:
    """Every trial's outcome, in the plan's order; a run that two trials share names the one that trained it.

    ended: by fingerprint how runs ended in this process: what the store does not know (seconds, reasons).
    """
    first: dict[str, Trial] = {}
    outcomes = []
    for trial in plan.trials:
        mark = trial.run.fingerprint()
        owner = first.setdefault(mark, trial)
        shared = None if owner is trial else f"{owner.arm.name} seed {owner.seed}"
        outcome, here = known(trial), ended.get(mark)
        if outcome is None:
            outcome = (
                replace(here, trial=trial) if here else Outcome(trial, "FAILED", reason="did not finish")
            )
        seconds = {**outcome.seconds, **(here.seconds if here else {})}
        outcomes.append(replace(outcome, shared_with=shared, seconds=seconds))
    return outcomes
