"""Components by name: the file name is the component's name, its constructor's signature is its schema.

A component `losses/clef.py` holds the class `Clef` (the file name in CamelCase). Nothing is imported before it is asked for,
so listing names costs a directory listing and `--help` needs neither torch nor ray.
"""

import difflib
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from clef_ray.errors import ConfigError


def unknown(kind: str, given: str, allowed: Iterable[str], where: str = "") -> ConfigError:
    """The error for a name that does not exist: offers the near match and lists what there is."""
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    place = f" (in {where})" if where else ""
    return ConfigError(f"unknown {kind} {given!r}{place}.{hint} Available: {', '.join(names) or 'none'}.")


def coerce(value: Any, annotation: Any, where: str) -> Any:
    """`value` as the annotated type, or a ConfigError that says where it was given.

    Strings (as they come from `--set`) become numbers, booleans, None or comma-separated tuples; nothing is rounded or guessed.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _coerce_union(value, args, where)
    if origin is Literal:
        matches = [a for a in args if a == value or (isinstance(value, str) and str(a) == value)]
        if matches:
            return matches[0]
        raise unknown("value", str(value), [str(a) for a in args], where)
    if origin is tuple:
        parts = [p.strip() for p in value.split(",") if p.strip()] if isinstance(value, str) else list(value)
        kinds = [args[0]] * len(parts) if args[-1] is Ellipsis else list(args)
        if len(kinds) != len(parts):
            raise ConfigError(f"{where}: {value!r} has {len(parts)} entries, {len(kinds)} are needed")
        return tuple(coerce(p, k, where) for p, k in zip(parts, kinds, strict=True))
    return _coerce_scalar(value, annotation, where)


def _coerce_union(value: Any, args: tuple[Any, ...], where: str) -> Any:
    if type(None) in args and (value is None or value in ("none", "None", "null")):
        return None
    errors = []
    for kind in (a for a in args if a is not type(None)):
        try:
            return coerce(value, kind, where)
        except ConfigError as error:
            errors.append(str(error))
    raise ConfigError(" / ".join(errors))


def _coerce_scalar(value: Any, kind: type, where: str) -> Any:
    wrong = ConfigError(f"{where}: {value!r} is not a valid {kind.__name__}")
    if kind is bool:
        truth = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in truth:
            return truth[value.lower()]
        raise wrong
    if isinstance(value, bool):
        raise wrong
    if kind in (int, float) and isinstance(value, int | float | str):
        try:
            number = float(value)
        except ValueError:
            raise wrong from None
        if kind is float:
            return number
        if number.is_integer():
            return int(number)
        raise wrong
    if isinstance(value, kind):
        return value
    raise wrong


#: In place of an option: the name of one of the component's PRESETS, a mapping from preset to options.
PRESET = "preset"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One switch of a component: its type and default (`inspect.Parameter.empty` where it must be given)."""

    annotation: Any
    default: Any


@dataclass(frozen=True, slots=True)
class Registry:
    """The components of one kind, in one package.

    kind: what an error calls them ("loss"); package: where their files lie ("clef_ray.losses").
    """

    kind: str
    package: str

    def names(self) -> tuple[str, ...]:
        """All names, from the directory listing; imports nothing."""
        folder = Path(__file__).parent / self.package.split(".", 1)[1].replace(".", "/")
        return tuple(
            sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))
        )

    def get(self, name: str, where: str = "") -> Any:
        """The component's class. Unknown name: ConfigError with the near match and the list."""
        if name not in self.names():
            raise unknown(self.kind, name, self.names(), where)
        module = importlib.import_module(f"{self.package}.{name}")
        return getattr(module, "".join(part.capitalize() for part in name.split("_")))

    def schema(self, name: str, where: str = "") -> dict[str, Parameter]:
        """The constructor's parameters by name; none where a torch module has no constructor of its own, whose signature is (*args, **kwargs)."""
        component = self.get(name, where)
        if component.__init__ is object.__init__:
            return {}
        hints = typing.get_type_hints(component.__init__)
        signature = inspect.signature(component)
        named = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        return {p.name: Parameter(hints.get(p.name, Any), p.default) for p in named}

    def preset(self, name: str, preset: str, where: str = "") -> Mapping[str, Any]:
        """The options that a preset of a component stands for. ConfigError: it has no presets, or none of that name."""
        presets: Mapping[str, Mapping[str, Any]] = getattr(self.get(name, where), "PRESETS", {})
        if not presets:
            raise ConfigError(f"{where or self.kind}.{PRESET}: {self.kind} {name!r} has no presets")
        if preset not in presets:
            raise unknown(f"preset of {self.kind} {name!r}", str(preset), presets, where)
        return presets[preset]

    def accepts(self, name: str, option: str) -> bool:
        """Whether a component can be given this option (`preset` where it has presets)."""
        return option in self.schema(name) or (option == PRESET and hasattr(self.get(name), "PRESETS"))

    def options(self, name: str, given: Mapping[str, Any], where: str = "") -> dict[str, Any]:
        """All options of a component, given ones coerced to their types, the others at their defaults.

        A given `preset` is replaced by its options; other given ones override those. Options without a default that are not
        given are left out: the caller supplies them at build time.
        """
        schema = self.schema(name, where)
        if PRESET in given:
            chosen = self.preset(name, given[PRESET], where)
            given = {**chosen, **{key: value for key, value in given.items() if key != PRESET}}
        for key in given:
            if key not in schema:
                allowed = [key for key in (*schema, PRESET) if self.accepts(name, key)]
                raise unknown(f"option of {self.kind} {name!r}", key, allowed, where)
        out: dict[str, Any] = {}
        for key, parameter in schema.items():
            if key in given:
                out[key] = coerce(given[key], parameter.annotation, f"{where or self.kind}.{key}")
            elif parameter.default is not inspect.Parameter.empty:
                out[key] = parameter.default
        return out


SCORES = Registry("risk score", "clef_ray.scores")
DATASETS = Registry("dataset", "clef_ray.datasets")
ENCODERS = Registry("encoder", "clef_ray.encoders")
LOSSES = Registry("loss", "clef_ray.losses")
METHODS = Registry("method", "clef_ray.methods")
TASKS = Registry("task", "clef_ray.tasks")
