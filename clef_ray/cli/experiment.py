"""The command line of every experiment file, and what it does: data, plan, runs, MLflow, report."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clef_ray.ablation import Ablation, Outcome, Plan, Trial, plan
from clef_ray.cli import Parser, guarded
from clef_ray.cli.options import EXAMPLES, add_options, settings_of, targets_of
from clef_ray.cli.targets import judged_on
from clef_ray.errors import ConfigError
from clef_ray.search import Search

if TYPE_CHECKING:
    from rich.console import Console

    from clef_ray.cli.launch import Launch
    from clef_ray.cli.progress import Display
    from clef_ray.cli.standing import Leading
    from clef_ray.cluster.agenda import Watcher
    from clef_ray.report import Comparison, StudyView
    from clef_ray.studies.book import Book
    from clef_ray.tracking import Tracker


def main(declared: Ablation | Search, argv: Sequence[str] | None = None) -> int:
    """Run an experiment file's declaration from the command line; returns the exit code."""
    file = f"experiments/{declared.name}.py"
    choose = "--configurations 50"
    if isinstance(declared, Ablation):
        choose = f"--arms {' '.join(arm.name for arm in declared.arms[:2])}"
    parser = Parser(
        prog=f"python {file}",
        description=_introduction(declared),
        epilog=EXAMPLES.format(file=file, choose=choose),
    )
    add_options(parser)
    arguments = parser.parse_args(argv)
    return guarded(lambda: run(declared, arguments))


def _introduction(declared: Ablation | Search) -> str:
    return f"{declared.question}\n\n{declared.expect}\n\n{_what(declared)}."


def _what(declared: Ablation | Search) -> str:
    if isinstance(declared, Search):
        searched = ", ".join(d.key for d in declared.space)
        return f"Searched: {searched}; {declared.configurations} configurations with {len(declared.seeds)} seeds each"
    arms = f"Arms: {', '.join(arm.name for arm in declared.arms)}"
    more = f"; {len(declared.more)} more run when --arms asks for them, --dry-run lists them"
    return arms + (more if declared.more else "")


def run(declared: Ablation | Search, arguments: argparse.Namespace) -> int:
    """Data -> plan -> runs -> record and report. Returns 0, or 1 where a trial failed."""
    from rich.console import Console

    if isinstance(declared, Search):
        from clef_ray.cli.sweep import search

        if arguments.arms:
            raise ConfigError(
                f"--arms: {declared.name} is a sweep and has none; use --configurations and --seeds"
            )
        if arguments.rotate is not None:
            raise ConfigError(
                f"--rotate: {declared.name} is a sweep, which chooses on the validation fold; rotate the ablation that takes its winner"
            )
        if arguments.target:
            raise ConfigError(
                f"--target: {declared.name} is a sweep, which chooses on its own data; judge its winner with `clef-ray evaluate`"
            )
        return search(declared, arguments, Console())
    if arguments.configurations is not None:
        raise ConfigError(f"--configurations: {declared.name} is an ablation; choose arms with --arms")
    return ablate(declared, arguments, Console())


def ablate(ablation: Ablation, arguments: argparse.Namespace, console: "Console") -> int:
    """Run an ablation: every arm with every seed."""
    seeds = 1 if arguments.smoke and arguments.seeds is None else arguments.seeds
    settings, targets = settings_of(arguments.set), targets_of(ablation.targets, arguments.target)
    ablation = judged_on(ablation, arguments.data, targets)
    # Wrong names and values are found before anything starts; which data comes later.
    draft = plan(ablation, "", arms=arguments.arms, seeds=seeds, settings=settings, smoke=arguments.smoke)
    draft = replace(draft, rotation=folds_of(arguments.rotate, settings))
    runs = [t.run for t in draft.trials]
    from clef_ray.cli.launch import data_of, launch, request_of, smoke_targets

    if arguments.smoke:
        targets = smoke_targets(targets, ablation.targets, runs)
    if arguments.dry_run:
        from clef_ray.cli.dryrun import show
        from clef_ray.cluster.session import session

        with session(arguments.address):
            data, request = data_of(arguments, runs), request_of(arguments)
            return show(draft, data, arguments.storage, request, console, targets)
    with launch(runs, arguments, console, draft.tasks, targets) as ready:
        concrete = draft.on(ready.data, arguments.data, ready.target_data)
        outcomes = rotate(concrete, ready) if concrete.rotation else conduct(concrete, ready).outcomes
        return 1 if failures(outcomes) else 0


def folds_of(asked: Sequence[int] | None, settings: Mapping[str, str]) -> tuple[int, ...]:
    """`--rotate` as test folds: none where it was not given, all ten where no fold was named. ConfigError for one that does not exist."""
    from clef_ray.evaluate.inputs import FOLDS

    if asked is None:
        return ()
    if "train_folds" in settings:
        raise ConfigError(
            "--set train_folds: --rotate chooses the folds of every run itself; give one of the two"
        )
    if wrong := sorted({*asked} - {*FOLDS}):
        raise ConfigError(f"--rotate {wrong[0]}: folds are numbered 1 to {FOLDS[-1]}")
    return tuple(dict.fromkeys(asked or FOLDS))


def rotate(whole: Plan, ready: "Launch") -> Sequence[Outcome]:
    """The plan of every fold one after the other, each recorded by itself, then the means over the folds."""
    from clef_ray import rotation

    by_fold = {}
    for number, fold in enumerate(whole.rotation, 1):
        ready.say(f"Test fold {fold} ({number} of {len(whole.rotation)})")
        by_fold[fold] = conduct(rotation.at(whole, fold), ready).outcomes
    outcomes = rotation.averaged(whole, by_fold)
    with recording(whole, whole.trials[0], ready) as record:
        record.close(whole, outcomes)
    return outcomes


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that failed."""
    return [o for o in outcomes if o.state == "FAILED"]


@dataclass(frozen=True)
class Conducted:
    """What came of a plan. lineage: what it is recorded with; report: the folder of its report."""

    outcomes: Sequence[Outcome]
    comparison: "Comparison"
    lineage: dict[str, str]
    report: str


def conduct(concrete: Plan, ready: "Launch") -> Conducted:
    """Run a plan's trials, record and report them."""
    from clef_ray.cluster.sweep import Known, run_sweep
    from clef_ray.studies.book import Book

    with recording(concrete, concrete.trials[0], ready) as record:
        known = Known(concrete, ready.storage)
        record.display.recall([o for o in map(known, concrete.unique()) if o is not None])
        book = Book.of_plan(concrete, ready.study, record.facts, known, record.display.tell)
        with record.kept(book):
            outcomes = run_sweep(
                concrete,
                ready.folder,
                ready.storage,
                ready.request,
                record.watchers,
                agenda=book,
                retries=ready.arguments.retries,
                known=known,
                targets=ready.targets,
                guard=record.guard,
                say=record.display.tell,
            )
        comparison, report = record.close(concrete, outcomes)
    return Conducted(outcomes, comparison, record.lineage, report)


@dataclass
class Record:
    """Everybody who is told about one plan's runs while they go on. guard: LeaseLostError where another process goes on with the plan."""

    ready: "Launch"
    lineage: dict[str, str]
    tracker: "Tracker"
    page: str
    display: "Display"
    facts: dict[str, str | float]
    guard: Callable[[], None]

    @property
    def watchers(self) -> list["Watcher"]:
        from clef_ray.cli.progress import Recorder

        return [Recorder(self.tracker), self.display]

    @contextmanager
    def kept(self, book: "Book") -> Iterator[None]:
        """The panel while runs go on, and a study that says afterwards what is left of them, unless it is another process's by then."""
        from clef_ray.lease import LeaseLostError

        whole = False
        try:
            with self.display:
                yield
            whole = True
        except LeaseLostError:
            book.leave()
            raise
        finally:
            book.close(interrupted=not whole)

    def close(
        self, concrete: Plan, outcomes: Sequence[Outcome], study: "StudyView | None" = None
    ) -> tuple["Comparison", str]:
        """Compare, report, record, print; returns the comparison and the report's folder."""
        from clef_ray.report import compare, print_comparison, write_report
        from clef_ray.report.clouds import clouds
        from clef_ray.store import Store

        self.guard()
        for outcome in outcomes:
            self.tracker.close_trial(outcome)
        comparison = compare(concrete, outcomes, study, self.lineage["options"], self.lineage["leakage"])
        reports = Store(self.ready.storage).child("reports")
        drawn, lacking = clouds(concrete, outcomes, self.ready.storage, self.lineage)
        comparison = replace(comparison, caveats=(*comparison.caveats, *filter(None, [lacking])))
        files = write_report(
            reports, concrete, outcomes, comparison, self.lineage, study, self.ready.resources, drawn
        )
        print_comparison(comparison, self.ready.console)
        for outcome in failures(outcomes):
            name = f"{outcome.trial.arm.name} seed {outcome.trial.seed}"
            self.ready.console.print(f"[red]FAILED[/] {name}: ", end="")
            self.ready.console.print(outcome.reason or "", markup=False, highlight=False, soft_wrap=True)
        self.ready.say(f"Report:    {files['report.html']}")
        self.tracker.close_ablation(comparison, files)
        self.ready.say(f"MLflow UI: {self.ready.ui(self.page)}")
        return comparison, files["report.html"].rpartition("/")[0]


@contextmanager
def recording(
    concrete: Plan,
    example: Trial,
    ready: "Launch",
    total: int | None = None,
    leading: "Leading | None" = None,
) -> Iterator[Record]:
    """Open the record of a plan, by one process at a time; whatever ends it early leaves nothing RUNNING. example: one of its trials; the rest as in `Display`."""
    from clef_ray.cli.lineage import describe
    from clef_ray.cli.progress import Display
    from clef_ray.lease import LeaseLostError, lease
    from clef_ray.store import Store
    from clef_ray.tracking.delivery import Delivered
    from clef_ray.tracking.mlflow import MlflowTracker

    lineage = describe(ready.folder, concrete, example.run, ready.arguments, ready.targets)
    display = Display(
        concrete,
        ready.console,
        total=total,
        slots=ready.slots,
        resources=ready.resources,
        leading=leading,
        hints=[ready.ui()],
    )
    mlflow = MlflowTracker(ready.tracking)
    tracker = Delivered(mlflow, display.tell)
    with lease(Store(ready.storage), concrete.fingerprint()) as guard, ExitStack() as unfinished:
        tracker.open_ablation(concrete, lineage)
        unfinished.callback(tracker.interrupt)
        facts: dict[str, str | float] = {
            "git_commit": lineage["git_commit"],
            "data": concrete.data,
            "mlflow_run_id": mlflow.run_id,
            "cpus": ready.resources.get("CPU", 0.0),
            "gpus": ready.resources.get("GPU", 0.0),
        }
        try:
            yield Record(ready, lineage, tracker, mlflow.page, display, facts, guard)
        except LeaseLostError:
            unfinished.pop_all()  # its record is the other process's
            raise
        unfinished.pop_all()
