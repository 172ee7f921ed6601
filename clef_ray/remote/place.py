"""Where an S3 store is, how it is spoken to, and what its errors mean."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

import pyarrow.fs as pafs

#: Seconds for a connection to be made, and without a single byte after which a request counts as unanswered. Less with less patience.
CONNECT, ANSWER = 5.0, 20.0

#: Errors that pass. An upload that the server does not know any more was completed by a request whose answer was lost, or cleared away.
_PASSING = re.compile(
    r"HTTP status (?:408|429|5\d\d)\b|AWS Error (?:INTERNAL_FAILURE|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT"
    r"|REQUEST_EXPIRED|NO_SUCH_UPLOAD|NETWORK_CONNECTION)\b"
)

#: Among the broken connections those that break again: a certificate that is not trusted (curl's numbers).
_LASTING = re.compile(r"curlCode: (?:58|60|77|83|90|91)\b")

#: What an error means, in words for a user; {at}: the server.
_MEANINGS = (
    (r"NO_SUCH_BUCKET", "there is no such bucket at {at}"),
    (
        r"INVALID_ACCESS_KEY_ID|SIGNATURE|UNRECOGNIZED_CLIENT|TOKEN|HTTP status 401",
        "{at} does not accept these credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role)",
    ),
    (
        r"ACCESS_DENIED|HTTP status 403",
        "{at} refuses: the credentials are wrong, or lack the right to read, write, list or delete here",
    ),
    (
        _LASTING.pattern,
        "{at} shows a certificate that is not trusted here (tls_ca_file_path=FILE in the URI)",
    ),
    (r"curlCode: (?:6|7|28)\b", "nothing answers at {at}"),
    (r"NETWORK_CONNECTION", "the connection to {at} breaks off"),
    (r"SLOW_DOWN|THROTTLING|HTTP status (?:429|503)", "{at} asks for fewer requests"),
    (r"INTERNAL_FAILURE|SERVICE_UNAVAILABLE|HTTP status 5", "{at} has an error of its own"),
)


def passes(error: OSError) -> bool:
    """Whether the same request may succeed a little later."""
    text = str(error)
    return bool(_PASSING.search(text)) and not _LASTING.search(text)


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and the options of its URI. patience: seconds."""

    bucket: str
    options: str
    patience: float

    @property
    def server(self) -> str:
        """The address in use: the URI's, else the environment's, else Amazon's."""
        told = dict(parse_qsl(self.options))
        address = (
            told.get("endpoint_override")
            or os.environ.get("AWS_ENDPOINT_URL_S3")
            or os.environ.get("AWS_ENDPOINT_URL", "")
        )
        if not address or "://" in address:
            return address.rstrip("/")
        return f"{told.get('scheme', 'https')}://{address}"

    def connect(self) -> pafs.FileSystem:
        """Pyarrow's file system; made once per process and address."""
        return _connect(self, self.server)

    def meaning(self, error: OSError) -> str:
        """The error in words, with its own text behind them."""
        for pattern, words in _MEANINGS:
            if re.search(pattern, str(error)):
                return f"{words.format(at=self.server or 'Amazon S3')} ({error})"
        return str(error)


@lru_cache(maxsize=16)
def _connect(place: Place, server: str) -> pafs.FileSystem:
    told = dict(parse_qsl(place.options))
    scheme, _, address = server.rpartition("://")
    region = told.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region and not address:
        region = pafs.resolve_s3_region(place.bucket)  # asks Amazon
    return pafs.S3FileSystem(
        region=region or "us-east-1",
        scheme=scheme or told.get("scheme", "https"),
        endpoint_override=address or None,
        tls_ca_file_path=told.get("tls_ca_file_path"),
        connect_timeout=min(CONNECT, max(place.patience, 1.0)),
        request_timeout=min(ANSWER, max(place.patience, 1.0)),
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=3 if place.patience >= ANSWER else 1),
        allow_delayed_open=True,  # a file of up to 10 MB is one request
    )
