"""A sweep from the command line: configurations that a study samples, then the winner with fresh seeds on the test patients."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.cli.experiment import Conducted, conduct, failures, recording
from clef_ray.cli.launch import Launch, launch
from clef_ray.cli.options import settings_of
from clef_ray.cli.progress import Display
from clef_ray.cli.standing import Leading
from clef_ray.cluster.sweep import Known, run_sweep
from clef_ray.errors import ConfigError
from clef_ray.report import StudyView
from clef_ray.report.record import summary
from clef_ray.report.study import Gain
from clef_ray.search import COSTS, Configuration, Float, Int, Search, name_of
from clef_ray.store import Store
from clef_ray.studies.book import Book
from clef_ray.studies.importance import importance
from clef_ray.tracking.registry import register
from clef_ray.trial import run_store, seconds_of


def search(declared: Search, arguments: argparse.Namespace, console: Console) -> int:
    """Search, then judge the winner; 0, or 1 where no configuration came to an end or a run of the winner failed."""
    asked, settings = _asked(declared, arguments), settings_of(arguments.set)
    asked.check("", settings, smoke=arguments.smoke)
    examples = [t.run for t in _examples(asked, "", settings, arguments.smoke)]
    if arguments.dry_run:
        from clef_ray.cli.dryrun import show_search
        from clef_ray.cluster.session import session

        with session(arguments.address):
            return show_search(asked, settings, examples, arguments, console)
    with launch(examples, arguments, console, asked.specs()) as ready:
        return _search(asked, settings, ready)


def _asked(declared: Search, arguments: argparse.Namespace) -> Search:
    """The declaration with the command's changes."""
    changes: dict[str, Any] = {}
    if arguments.smoke:
        changes = {"configurations": declared.smoke_configurations, "seeds": declared.seeds[:1]}
        changes["fresh_seeds"] = declared.fresh_seeds[:1]
    if arguments.configurations is not None:
        if arguments.configurations < 1:
            raise ConfigError(f"--configurations {arguments.configurations}: at least 1 is needed")
        changes["configurations"] = arguments.configurations
    if arguments.seeds is not None:
        if arguments.seeds < 1:
            raise ConfigError(f"--seeds {arguments.seeds}: at least 1 seed is needed")
        changes["seeds"] = tuple(range(arguments.seeds))
    return replace(declared, **changes)


def _examples(asked: Search, data: str, settings: Mapping[str, Any], smoke: bool) -> list[Trial]:
    """A run of every start configuration and of every option of the views' lead: together they show which leads are read."""
    first = asked.seeds[0]
    starts = [asked.trial(n, p, first, data, settings, smoke=smoke) for n, p in enumerate(asked.start)]
    leads = [d.ends() for d in asked.space if d.key == "views.lead"]
    own = {**asked.start[0]}
    more = [
        asked.trial(0, {**own, "views.lead": lead}, first, data, settings, smoke=smoke)
        for options in leads
        for lead in options
    ]
    return [*starts, *more]


def _search(asked: Search, settings: Mapping[str, Any], ready: Launch) -> int:
    smoke, named = ready.arguments.smoke, ready.arguments.data

    def planned(trials: Sequence[Trial]) -> Plan:
        return asked.plan(trials, ready.data, settings, smoke=smoke, data_name=named)

    examples, empty = _examples(asked, ready.data, settings, smoke), planned(())
    total = asked.configurations * len(asked.seeds)
    results = (o for o in asked.objectives if o.metric not in COSTS)
    leading = next((Leading(o.metric, o.direction, asked.limits) for o in results), None)
    with recording(empty, examples[0], ready, total, leading) as record:
        known = Known(empty, ready.storage)
        book = Book.of_search(
            asked,
            ready.data,
            ready.study,
            record.facts,
            known,
            record.display.tell,
            settings=settings,
            smoke=smoke,
        )
        record.display.recall(book.outcomes)
        with record.kept(book):
            run_sweep(
                empty,
                ready.folder,
                ready.storage,
                ready.request,
                [*record.watchers, _Shrinking(record.display, book)],
                agenda=book,
                specimens=[t.run for t in examples],
                retries=ready.arguments.retries,
                known=known,
                guard=record.guard,
                say=record.display.tell,
            )
        best = book.best()
        final = _judge(asked, best[0], settings, ready) if best else None
        ready.say(f"\n[bold]{asked.question}[/]")
        outcomes = [_with_seconds(o, ready.storage) for o in book.outcomes]
        record.close(planned(book.trials()), outcomes, _view(asked, book, final, ready))
    return 1 if final is None or failures(final.outcomes) else 0


def _judge(asked: Search, winner: Configuration, settings: Mapping[str, Any], ready: Launch) -> Conducted:
    """The winner and the default with fresh seeds on the test patients; the winner's first fresh seed is registered."""
    name, arguments = name_of(winner.number), ready.arguments
    ready.say(f"\n[bold]The winner, {name}, with fresh seeds on the test patients[/]")
    chosen = {winner.number: winner.params}
    plan = asked.final(chosen, ready.data, settings, smoke=arguments.smoke, data_name=arguments.data)
    final = conduct(plan, ready)
    # not the best of its seeds, which the test patients would have chosen
    first = next(o for o in final.outcomes if o.trial.arm.name == name)
    if first.state == "COMPLETE":
        model = f"{asked.name}_smoke" if arguments.smoke else asked.name
        told = {**final.lineage, "data": ready.folder}  # where the shards really are
        version = register(ready.tracking, model, first, ready.storage, told, asked.headline)
        ready.say(f"Registered as {model} version {version} in MLflow.")
    return final


def _with_seconds(outcome: Outcome, storage: str) -> Outcome:
    """The study does not know what a run took that was stopped in an earlier process; the run's folder does."""
    kept = seconds_of(run_store(storage, outcome.trial.run))
    return replace(outcome, seconds={**kept, **outcome.seconds})


class _Shrinking:
    """A Watcher that tells the panel how many runs there will be: a configuration that is stopped leaves out its other seeds."""

    def __init__(self, display: Display, book: Book) -> None:
        self.display, self.book = display, book

    def start(self, trial: Trial) -> None: ...

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None: ...

    def end(self, outcome: Outcome) -> None:
        self.display.total(self.book.planned)


def _view(asked: Search, book: Book, final: Conducted | None, ready: Launch) -> StudyView:
    """The study as the report shows it. final: the fresh seeds, None where nothing was found."""
    shares, why = importance(book.uri, book.name)
    best, rule = tuple(row.number for row in book.best()), asked.stopping
    view = StudyView(
        name=book.name,
        objectives=tuple((o.metric, o.direction) for o in asked.objectives),
        rows=book.rows(),
        logarithmic=tuple(d.key for d in asked.space if isinstance(d, Float | Int) and d.log),
        importance=shares,
        importance_reason=why,
        best=best,
        rule=asked.winner,
        stopping="" if rule.rule == "none" else f"{rule.rule} on {rule.metric}",
    )
    if final is None:
        return view
    winner = name_of(best[0])
    runs = tuple(o for o in final.outcomes if o.trial.arm.name == winner)
    return replace(view, winner=runs, gain=_gains(asked, winner, final), judged=_judged(asked, ready))


def _gains(asked: Search, winner: str, final: Conducted) -> tuple[Gain, ...]:
    """The winner minus the default, per objective that the comparison of the fresh seeds has."""
    cells = next(row.cells for row in final.comparison.rows if row.arm.name == winner)
    gains = []
    for metric in (o.metric for o in asked.objectives):
        if metric in cells and (d := cells[metric].difference) is not None:
            low, high = (d.seeds.low, d.seeds.high) if d.seeds else (None, None)
            gains.append(Gain(metric, d.value, low, high, d.mark, final.report.rpartition("/")[2]))
    return tuple(gains)


def _judged(asked: Search, ready: Launch) -> int:
    """How many different winners the test patients of these data have judged."""
    reports = Store(ready.storage).child("reports")
    finals = [reports.child(name) for name in reports.list() if name.startswith(f"{asked.name}_final-")]
    return sum(summary(folder).data == ready.data for folder in finals)
