"""A YAML mapping whose every value knows its line, so that an error can name it.

Values are taken as they are written: `no: 0` is the text "no", not a truth value, and `007` keeps its zeros. A map may come from a stranger: no
object is ever made of a tag, and tags and aliases (`!!python/...`, `*name`) are refused, for nobody needs them here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

#: Blocks and lists within one another; a map needs four.
_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Section:
    """A block of `key: value` lines. name: its place in the file, e.g. "covariates.age", "" for the whole file; line: where it begins."""

    file: str
    name: str
    line: int
    nodes: Mapping[str, tuple[int, yaml.Node]]

    def __contains__(self, key: str) -> bool:
        return key in self.nodes

    def at(self, key: str = "") -> str:
        """Where a key stands, for an error: "map.yaml:12: covariates.age"."""
        line = self.nodes[key][0] if key in self.nodes else self.line
        return f"{self.file}:{line}: {'.'.join(part for part in (self.name, key) if part)}".removesuffix(": ")

    def check(self, allowed: Iterable[str], needed: Iterable[str] = ()) -> None:
        """ConfigError: a key that is not known, or one that is missing."""
        allowed = tuple(allowed)
        for key in self.nodes:
            if key not in allowed:
                raise unknown("key", key, allowed, self.at(key))
        if missing := [key for key in needed if key not in self.nodes]:
            raise ConfigError(f"{self.at()}: give {', '.join(missing)}")

    def is_text(self, key: str) -> bool:
        return isinstance(self.nodes[key][1], yaml.ScalarNode)

    def is_section(self, key: str) -> bool:
        return isinstance(self.nodes[key][1], yaml.MappingNode)

    def text(self, key: str, default: str | None = None) -> str:
        """A text as written. Without a default it must be there."""
        if key not in self.nodes:
            if default is None:
                raise ConfigError(f"{self.at()}: give {key}")
            return default
        node = self.nodes[key][1]
        if not isinstance(node, yaml.ScalarNode) or node.value == "":
            raise ConfigError(f"{self.at(key)}: is to be one text or number, not {_kind(node)}")
        return str(node.value)

    def number(self, key: str, default: float | None = None) -> float:
        """A number above 0."""
        if key not in self.nodes and default is not None:
            return default
        written = self.text(key)
        if not (value := to_float(written, self.at(key))) > 0:
            raise ConfigError(f"{self.at(key)}: is to be above 0, not {written}")
        return value

    def flag(self, key: str) -> bool:
        """Whether a key says true; it may say false or not be there."""
        return self.choice(key, ("false", "true"), "false") == "true"

    def choice(self, key: str, allowed: Iterable[str], default: str | None = None) -> str:
        value, allowed = self.text(key, default), tuple(allowed)
        if value not in allowed:
            raise unknown("value", value, allowed, self.at(key))
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        node = self.nodes[key][1]
        if not isinstance(node, yaml.SequenceNode) or not all(
            isinstance(entry, yaml.ScalarNode) for entry in node.value
        ):
            raise ConfigError(f"{self.at(key)}: is to be a list of texts, not {_kind(node)}")
        return tuple(str(entry.value) for entry in node.value)

    def section(self, key: str) -> "Section":
        """The block below a key, an empty one where the key is not there."""
        name = f"{self.name}.{key}" if self.name else key
        if key not in self.nodes:
            return Section(self.file, name, self.line, {})
        line, node = self.nodes[key]
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{self.at(key)}: is to be a block of `key: value`, not {_kind(node)}")
        return _section(self.file, name, line, node)

    def plain(self) -> dict[str, Any]:
        """The whole block as dictionaries, lists and texts."""
        return {key: _plain(node) for key, (_, node) in self.nodes.items()}


def load(path: Path) -> Section:
    """The mapping a file holds. ConfigError: no such file, no YAML, a tag, an alias, nested too deeply, not a mapping, a key given twice."""
    try:
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            _refuse(event, depth, path.name)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: no YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path.name}: is to hold `key: value` lines, not {_kind(node)}")
    return _section(path.name, "", 1, node)


def _refuse(event: yaml.Event, depth: int, file: str) -> None:
    """ConfigError: what a map does not need and a stranger can misuse. Few aliases make a text of any length; each level costs more than the
    one above it.
    """
    assert event.start_mark is not None, "the parser marks what it reads"
    line = event.start_mark.line + 1
    if depth > _DEPTH:
        raise ConfigError(f"{file}:{line}: is nested too deeply; a map has {_DEPTH} levels at most")
    if isinstance(event, yaml.AliasEvent):
        raise ConfigError(f"{file}:{line}: an alias (*{event.anchor}); write out what it stands for")
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
        shown = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise ConfigError(
            f"{file}:{line}: a tag ({shown}); a map has texts, numbers, lists and blocks of keys only"
        )


def to_float(written: str, where: str) -> float:
    """A written number. ConfigError: it is none."""
    try:
        return float(written)
    except ValueError:
        raise ConfigError(f"{where}: {written!r} is no number") from None


def _section(file: str, name: str, line: int, node: yaml.MappingNode) -> Section:
    nodes: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value:
        at = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{file}:{at}: a key is to be one text")
        if key.value in nodes:
            raise ConfigError(f"{file}:{at}: {name or 'key'}: {key.value} is given twice")
        nodes[key.value] = (at, value)
    return Section(file, name, line, nodes)


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(entry) for entry in node.value]
    return str(node.value)


def _kind(node: yaml.Node | None) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a block of keys"
    return (
        "a list"
        if isinstance(node, yaml.SequenceNode)
        else "nothing"
        if not node or not node.value
        else "a text"
    )
