"""What every kind of cluster takes from cluster.yaml: how Ray is started, in which environment, and YAML that a person can read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from clef_ray.errors import ConfigError

#: `env NAME=value ... ray start --option ...`, after whatever else the shell is told before.
_START = re.compile(r"^(?P<before>.*?)\benv (?P<settings>(?:\w+=\S+ )+)ray start (?P<options>.*)$")


@dataclass(frozen=True, slots=True)
class Start:
    """One `ray start`. before: shell in front of it (ends with `; ` or is empty); settings: its environment; options: what follows."""

    before: str
    settings: Mapping[str, str]
    options: tuple[str, ...]

    def command(self, more: Mapping[str, str]) -> str:
        """As one line of shell. more: settings that are added in front."""
        told = " ".join(f"{name}={value}" for name, value in {**more, **self.settings}.items())
        return f"{self.before}env {told} ray start {' '.join(self.options)}"


def load(file: str) -> dict[str, Any]:
    """A cluster file as Ray reads it; YAML's tags, which could run code, are refused. ConfigError where it is not one."""
    try:
        document = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror}); give --from FILE, the project's cluster.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: holds no `key: value` pairs; a file for `ray up` is needed")
    return document


def start(document: Mapping[str, Any], kind: Literal["head", "worker"]) -> Start:
    """The `ray start` of a head or of a worker. ConfigError where the file's commands hold none, or none with its settings by `env`."""
    key = f"{kind}_start_ray_commands"
    for command in document.get(key, ()):
        if found := _START.match(command):
            settings = dict(pair.split("=", 1) for pair in found["settings"].split())
            return Start(found["before"], settings, tuple(found["options"].split()))
    raise ConfigError(f"{key}: no `env NAME=VALUE ... ray start ...` among its commands")


class Folded(str):
    """A long text that YAML writes over several lines."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Sequences are indented below their key, as in cluster.yaml; what occurs twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # yaml's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # yaml's signature
        super().increase_indent(flow, indentless=False)


_Dumper.add_representer(
    Folded, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=">")
)


def section(comment: str, content: Mapping[str, Any]) -> str:
    """Keys of a YAML file with a comment (lines, may be empty) above them."""
    above = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return above + yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True)
