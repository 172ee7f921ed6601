"""Weights on a hub (huggingface.co, or the server that HF_ENDPOINT names): `hf://owner/name[/file][@revision]`.

The token comes from the environment (HF_TOKEN) and from nowhere else; it is never printed. Not run here against the real hub, which was out
of reach: the tests use a local server that answers the same requests.
"""

import os
import re
import tempfile
from pathlib import Path

from clef_ray.errors import ConfigError, StorageError
from clef_ray.weights.file import save
from clef_ray.weights.model import Weights

#: The file's name on the hub where an address names none.
WEIGHTS = "model.safetensors"

TOKEN = "HF_TOKEN"  # noqa: S105 - the variable's name

_SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:/([\w./-]+))?(?:@([\w./-]+))?", re.ASCII)

_CARD = """\
---
library_name: clef_ray
tags: [ecg]
---

# {name}

An encoder of ECGs in clef_ray's format: `{encoder}`, {seconds:g} s at {fs:g} Hz, {low:g} to {high:g} Hz, z-score; trained on {leads}.

    clef-ray embed --weights {address} --input RECORDS --out embeddings.parquet

Origin: {source}. SHA-256 of the file it was read from: {sha256}.

Research only, no medical device. The terms of the origin, and of the data it was trained on, bind whoever passes the weights on.
"""


def is_address(where: str) -> bool:
    """Whether this names a place on a hub."""
    return where.startswith(_SCHEME)


def pull(address: str) -> Path:
    """The file at an address, fetched into huggingface_hub's cache unless it is there already.

    ConfigError: not an address. StorageError: no such model, file or revision, or the hub does not answer.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository, file, revision = _parsed(address)
    try:
        path = hf_hub_download(repository, file or WEIGHTS, revision=revision, token=_token() or False)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise StorageError(
            f"cannot fetch {file or WEIGHTS} of {address}: {_told(error)}; a private model needs {TOKEN} in the environment"
        ) from error
    return Path(path)


def push(weights: Weights, address: str, *, private: bool = True) -> str:
    """Write weights and a short README to a model on the hub, which is made where there is none; returns the commit's URL.

    private: of a model that is made. A revision must be a branch that is there. ConfigError: not an address, or no token in the environment;
    StorageError: the hub refuses or does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository, file, revision = _parsed(address)
    if file:
        raise ConfigError(f"{address}: give hf://owner/name[@revision]; the file is always {WEIGHTS}")
    token = _token()
    if not token:
        raise ConfigError(f"{TOKEN} is not set: writing to a hub needs a token with the right to write")
    with tempfile.TemporaryDirectory() as folder:
        save(weights, Path(folder, WEIGHTS))
        Path(folder, "README.md").write_text(_card(weights, address), encoding="utf-8")
        try:
            api = HfApi(token=token)
            api.create_repo(repository, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                commit_message="Weights from clef_ray",
            )
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise StorageError(f"cannot write to {address}: {_told(error)}") from error
    return str(done.commit_url)


def _parsed(address: str) -> tuple[str, str | None, str | None]:
    """Repository, file and revision."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ConfigError(f"{address!r} is no address on a hub; give hf://owner/name[/file][@revision]")
    return found[1], found[2], found[3]


def _token() -> str | None:
    return os.environ.get(TOKEN) or None


def _told(error: Exception) -> str:
    """The first two lines of what the hub's client says, in one and without its number of the request."""
    lines = [line.partition(" (Request ID")[0].strip() for line in str(error).splitlines()]
    return " ".join([line for line in lines if line][:2]).rstrip(".") or type(error).__name__


def _card(weights: Weights, address: str) -> str:
    signals = weights.signals
    return _CARD.format(
        name=_parsed(address)[0].partition("/")[2],
        address=address,
        encoder=", ".join(
            [weights.spec.name, *(f"{option}={value}" for option, value in weights.spec.options)]
        ),
        seconds=signals.seconds,
        fs=signals.fs,
        low=signals.band[0],
        high=signals.band[1],
        leads=", ".join(weights.leads),
        source=weights.source,
        sha256=weights.sha256 or "none",
    )
