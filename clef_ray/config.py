"""The configuration of a run: frozen, typed, strict; its fingerprint is the run's identity.

A component (encoder, loss, ...) is a `Spec`: a name and the options of its constructor, all of them, defaults included. Workers, GPUs, paths
and the clock are not in a configuration: the same science on other hardware is the same run.
"""

import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

from clef_ray.errors import ConfigError
from clef_ray.registry import ENCODERS, LOSSES, METHODS, PRESET, SCORES, TASKS, Registry, coerce, unknown
from clef_ray.sections import Imputation, Missingness, Optimiser, Signals, Views

#: Raised when the meaning of a configuration changes though its text does not, so that old results are not taken for new ones.
SCIENCE_VERSION = 3

#: Raised when a task's numbers change their meaning though its text does not: tasks are evaluated again, encoders are not trained again.
EVALUATION_VERSION = 3

#: The split of the patients that encoders are judged by (`evaluate.inputs.SPLITS`).
SplitName = Literal[
    "official",
    "selection",
    "test-1",
    "test-2",
    "test-3",
    "test-4",
    "test-5",
    "test-6",
    "test-7",
    "test-8",
    "test-9",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Spec:
    """A component by name with all its options (hashable, canonical). Build one with `spec(REGISTRY, name, options)`."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **dict(self.options)}

    def build(self, registry: Registry) -> Any:
        """The component itself."""
        return registry.get(self.name)(**dict(self.options))


def spec(registry: Registry, name: str, options: Mapping[str, Any] | None = None, where: str = "") -> Spec:
    """A checked Spec: unknown names and options, and values of a wrong type, are ConfigErrors with the near match."""
    resolved = registry.options(name, options or {}, where)
    return Spec(name, tuple(sorted(resolved.items())))


@dataclass(frozen=True)
class Run:
    """One pretraining: a pure function of this and the shards behind `data` (their manifest's fingerprint)."""

    data: str = ""
    seed: int = 0
    train_folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    signals: Signals = field(default_factory=Signals)
    views: Views = field(default_factory=Views)
    encoder: Spec = field(default_factory=lambda: spec(ENCODERS, "clef"))
    method: Spec = field(default_factory=lambda: spec(METHODS, "clef"))
    loss: Spec | None = None
    score: Spec | None = field(default_factory=lambda: spec(SCORES, "score2"))
    imputation: Imputation = "centre"
    missingness: Missingness = field(default_factory=Missingness)
    batches: Literal["shuffled", "risk_stratified"] = "shuffled"
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self) -> None:
        if self.batches == "risk_stratified" and self.score is None:
            raise ConfigError("batches: risk_stratified mixes batches by the score; set score=NAME")
        if self.views.seconds is not None and self.views.seconds > self.signals.seconds:
            raise ConfigError(
                f"views.seconds: {self.views.seconds:g} given; a view is cut from a window of signals.seconds = {self.signals.seconds:g} s"
            )

    @property
    def used_loss(self) -> Spec | None:
        """The loss that is trained: the method's own where none is given, None where nothing is trained."""
        method = METHODS.get(self.method.name)
        if not method.trains:
            return None
        loss = self.loss or spec(LOSSES, method.default_loss)
        if (takes := LOSSES.get(loss.name).takes) != method.gives:
            fitting = [name for name in LOSSES.names() if LOSSES.get(name).takes == method.gives]
            raise ConfigError(
                f"loss {loss.name!r} takes {takes}, but method {self.method.name!r} gives {method.gives}; "
                f"losses for it: {', '.join(fitting)}"
            )
        return loss

    @property
    def uses_risk(self) -> bool:
        """Whether the loss or the batches read the score."""
        loss = self.used_loss
        return loss is not None and (LOSSES.get(loss.name).uses_risk or self.batches == "risk_stratified")

    def canonical(self) -> "Run":
        """The same run without what cannot matter: the method's default loss filled in, the score dropped where no risk is used, the
        views, batches and optimiser where nothing is trained.

        Of the switches that another one makes idle it resets `choose` without a number of negatives, same_lead with a lead that is
        fixed, and the mechanism of missingness at a rate of 0; others (the similarity of an alignment of coefficient 0) still make
        another run of the same science. Raises ConfigError for a rate of missingness without a mechanism.
        """
        if self.missingness.rate > 0 and self.missingness.mechanism == "none":
            raise ConfigError(
                f"missingness.rate: {self.missingness.rate:g} given with missingness.mechanism none, which deletes nothing; "
                "set the mechanism to mcar, mar or mnar, or the rate to 0"
            )
        no_risk: dict[str, Any] = {"score": None, "imputation": "none", "missingness": Missingness()}
        loss = self.used_loss
        if loss is None:
            untrained: dict[str, Any] = {"views": Views(), "batches": "shuffled", "optimiser": Optimiser()}
            return replace(self, loss=None, **no_risk, **untrained)
        run = replace(self, loss=_all_alike(loss), views=_one_lead(self.views))
        if not self.uses_risk:
            return replace(run, **no_risk)
        return run if run.missingness.rate > 0 else replace(run, missingness=Missingness())

    @property
    def epochs(self) -> int:
        """How many epochs are trained: none where the method has nothing to train."""
        return self.optimiser.epochs if METHODS.get(self.method.name).trains else 0

    def fingerprint(self) -> str:
        """16 hex digits that name the run."""
        return fingerprint({"pretrain": to_dict(self.canonical())})


def _all_alike(loss: Spec) -> Spec:
    """The loss; where it takes all negatives, however they would have been chosen."""
    options = dict(loss.options)
    every = "choose" in options and options["negatives"] is None
    return spec(LOSSES, loss.name, {**options, "choose": "random"}) if every else loss


def _one_lead(views: Views) -> Views:
    """The views; where their lead is fixed, whatever share of random ones would have been equal."""
    return views if views.lead == "random" else replace(views, same_lead=Views.same_lead)


def evaluation_fingerprint(
    run: Run, task: Spec, data: str, split: SplitName = "official", home: str = ""
) -> str:
    """The identity of one task's result: the encoder's run, the task with its options, the evaluation data, their split and what is
    computed on them. home: of a target the data that it is beside, which some tasks learn from or are judged differently without.
    """
    content = {"run": run.fingerprint(), "task": task.to_dict(), "data": data, **split_identity(split)}
    content |= {"home": home} if home else {}
    return fingerprint({"evaluation": EVALUATION_VERSION, **content})


def split_identity(split: SplitName) -> dict[str, str]:
    """What a split adds to a fingerprint: nothing where it is the official one, so that results from before there were others stay valid."""
    return {} if split == "official" else {"split": split}


def fingerprint(content: Mapping[str, Any]) -> str:
    """Hash of canonical JSON (sorted keys, shortest floats), 16 hex digits."""
    text = json.dumps({"science": SCIENCE_VERSION, **content}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_dict(config: Any) -> Any:
    """Plain JSON values of a configuration; tuples become lists."""
    if isinstance(config, Spec):
        return {k: to_dict(v) for k, v in config.to_dict().items()}
    if is_dataclass(config) and not isinstance(config, type):
        # 100 and 100.0 Hz are one configuration.
        hints = typing.get_type_hints(type(config))
        values = {f.name: getattr(config, f.name) for f in fields(config)}
        return {name: float(v) if hints[name] is float else to_dict(v) for name, v in values.items()}
    if isinstance(config, tuple):
        return [to_dict(v) for v in config]
    return config


_COMPONENTS = {"encoder": ENCODERS, "method": METHODS, "loss": LOSSES, "score": SCORES}


def from_dict(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """A dataclass from plain values: unknown keys and wrong types are ConfigErrors that say where."""
    hints = typing.get_type_hints(kind)
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    built: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            raise unknown("configuration key", place, [f"{where}.{k}" if where else k for k in known])
        built[key] = _value(hints[key], key, value, place)
    return kind(**built)


def _value(annotation: Any, key: str, value: Any, where: str) -> Any:
    if key in _COMPONENTS:
        return _component(key, value, where)
    if is_dataclass(annotation) and isinstance(annotation, type) and isinstance(value, Mapping):
        return from_dict(annotation, value, where)
    return coerce(value, annotation, where)


def _component(key: str, value: Any, where: str) -> Spec | None:
    if value is None or value == "none":
        if key in ("encoder", "method"):
            raise unknown(_COMPONENTS[key].kind, "none", _COMPONENTS[key].names(), where)
        return None
    if isinstance(value, Spec):
        return value
    if isinstance(value, str):
        return spec(_COMPONENTS[key], value, {}, where)
    if isinstance(value, Mapping) and "name" in value:
        return spec(_COMPONENTS[key], value["name"], {k: v for k, v in value.items() if k != "name"}, where)
    raise ConfigError(
        f"{where}: {value!r} is not a component; give a name, or a mapping with 'name' and its options"
    )


def in_order(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Which component first, then its preset, then its options: each is checked against, and overrides, what comes before it."""
    return sorted(settings.items(), key=lambda item: ("." in item[0], not item[0].endswith(f".{PRESET}")))


def override(run: Run, settings: Mapping[str, Any]) -> Run:
    """The run with dotted settings applied, e.g. {"loss": "guided", "loss.alpha": "0.1", "optimiser.epochs": 10}.

    Values may be strings (from `--set`). Unknown keys and wrong types are ConfigErrors with the near match.
    """
    for key, value in in_order(settings):
        head, _, tail = key.partition(".")
        known = {f.name for f in fields(Run)}
        if head not in known:
            raise unknown("configuration key", key, _all_keys(run))
        if not tail:
            new: Any = _value(typing.get_type_hints(Run)[head], head, value, head)
        elif head in _COMPONENTS:
            new = _override_component(run, head, tail, value)
        else:
            new = _override_section(getattr(run, head), head, tail, value, _all_keys(run))
        run = replace(run, **{head: new})
    return run


def _override_component(run: Run, head: str, option: str, value: Any) -> Spec:
    current: Spec | None = getattr(run, head)
    if current is None and head == "loss" and (default := METHODS.get(run.method.name).default_loss):
        current = spec(LOSSES, default)
    if current is None:
        raise ConfigError(f"{head}.{option}: no {head} is chosen; set {head}=NAME first")
    registry = _COMPONENTS[head]
    new = registry.preset(current.name, value, head) if option == PRESET else {option: value}
    return spec(registry, current.name, {**dict(current.options), **new}, head)


def _override_section(section: Any, head: str, key: str, value: Any, allowed: list[str]) -> Any:
    if not is_dataclass(section) or key not in {f.name for f in fields(section)}:
        raise unknown("configuration key", f"{head}.{key}", allowed)
    annotation = typing.get_type_hints(type(section))[key]
    return replace(section, **{key: coerce(value, annotation, f"{head}.{key}")})  # type: ignore[type-var]


def _all_keys(run: Run) -> list[str]:
    return sorted(flatten(to_dict(run)))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists stay values. A component's name stands under its own key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{place}.")
        elif key == "name" and prefix:
            flat[prefix.rstrip(".")] = value
        else:
            flat[place] = value
    return flat


def task_spec(text: str) -> Spec:
    """A task from `name` or `name:key=value,key=value`."""
    name, _, options = text.partition(":")
    pairs = [p.partition("=") for p in options.split(",") if p]
    return spec(TASKS, name, {k.strip(): v.strip() for k, _, v in pairs}, "task")
