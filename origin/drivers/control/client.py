"""How commands speak to the admin API of an origin."""

from __future__ import annotations

import http.client
import logging
import re
import ssl
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from nearcast.address import is_loopback, is_site
from nearcast.errors import ConfigError, InputError, NearcastError
from origin.drivers.control.admin.routes import PREFIX, ErrorBody
from origin.drivers.control.token_file import read_token_file

logger = logging.getLogger(__name__)

ANSWER_S: Final = 30.0
WORK_ANSWER_S: Final = 620.0
"""For what is worked out in a process of its own, after another that was asked for before."""
ANSWER_BYTES_MAX: Final = 64_000_000

_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)

AnswerT = TypeVar("AnswerT")


class Refused(NearcastError):
    """The origin said no; the message is its own."""

    def __init__(self, message: str, *, status: int, error: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


class AdminClient:
    """One origin's admin port. `ca` signs its certificate; `shown` is that certificate, which then
    need not be for the name it is asked by. Raises ConfigError for a URL or file of no use."""

    def __init__(
        self, url: str, token_file: Path, *, ca: Path | None = None, shown: Path | None = None
    ) -> None:
        try:
            parts = urlsplit(url)
            is_place = is_site(f"{parts.scheme}://{parts.netloc}", "http", "https")
        except ValueError:  # brackets that do not match
            is_place = False
        if not is_place or parts.query or parts.fragment:
            raise ConfigError(f"--admin {url!r}: write it as https://HOST:PORT")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            logger.warning("admin.token_in_clear url=%s: whoever listens has it; use https", url)
        if ca is not None and parts.scheme != "https":
            raise ConfigError(f"--ca is for https, and the admin port is {url}")
        self._shown = shown
        self._tls = _trusting(ca, shown) if parts.scheme == "https" else None
        self._url = url.rstrip("/")
        self._parts = parts
        self._token = read_token_file(token_file)

    def get(
        self, path: str, kind: type[AnswerT], *, answer_s: float = ANSWER_S, **query: object
    ) -> AnswerT:
        given = {name: value for name, value in query.items() if value is not None}
        question = f"?{urlencode(given)}" if given else ""
        return self._decoded(self._ask("GET", path + question, None, answer_s), kind)

    def post(
        self, path: str, body: Any, kind: type[AnswerT], *, answer_s: float = ANSWER_S
    ) -> AnswerT:
        content = self._ask("POST", path, msgspec.json.encode(body), answer_s)
        return self._decoded(content, kind)

    def delete(self, path: str) -> bytes:
        return self._ask("DELETE", path, None)

    def _decoded(self, content: bytes, kind: type[AnswerT]) -> AnswerT:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NearcastError(f"{self._url} answered what is no answer: {error}") from error

    def _ask(self, method: str, path: str, body: bytes | None, answer_s: float = ANSWER_S) -> bytes:
        """Raises InputError when there is no answer in time, Refused when the origin refuses."""
        connection: http.client.HTTPConnection
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is not None:
            connection = http.client.HTTPSConnection(
                host, port, timeout=answer_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=answer_s)
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        try:
            connection.request(method, self._parts.path.rstrip("/") + PREFIX + path, body, headers)
            response = connection.getresponse()
            content = response.read(ANSWER_BYTES_MAX)
        except TimeoutError as error:
            raise InputError(
                f"the origin on {self._url} did not answer within {answer_s:g} s: it may be busy, "
                "and do what it was asked for all the same; look again before you repeat it"
            ) from error
        except ssl.SSLCertVerificationError as error:
            if self._shown is not None:
                raise InputError(
                    f"what is shown on {self._url} is not the origin's certificate in "
                    f"{self._shown} ({error.verify_message}): another program may have its port; "
                    "one renewed just now is shown within 10 s; or name who signed it with "
                    "--ca FILE"
                ) from error
            raise InputError(
                f"the certificate shown on {self._url} does not count ({error.verify_message}): "
                "name who signed it with --ca FILE, and the origin by a name that is in it"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise InputError(
                f"no origin answers on {self._url} ({error}); is it running, and is that http or "
                "https? Name its admin port with --admin https://HOST:PORT"
            ) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise _refused(response.status, content)
        return content


def _trusting(ca: Path | None, shown: Path | None) -> ssl.SSLContext:
    """`shown` counts for this very certificate, the first in its file: whoever signed it may sign
    others for anybody, so the rest of the chain does not count, nor for whom this one is."""
    try:
        only = None if shown is None else _first_certificate(shown)
        context = ssl.create_default_context(cafile=ca, cadata=only)
    except (OSError, ssl.SSLError, ValueError) as error:
        file = ca or shown
        raise ConfigError(
            f"cannot read certificates in {file}: {error}; name who signed the admin port's with "
            "--ca FILE"
        ) from error
    if shown is not None:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _first_certificate(file: Path) -> str:
    """As a server shows it, of a file that may have the key and who signed it as well."""
    found = _CERTIFICATE.search(file.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("there is none in it")
    return found[0]


def part(text: str) -> str:
    """A name as a part of a path."""
    return quote(text, safe="")


def _refused(status: int, content: bytes) -> Refused:
    try:
        body = msgspec.json.decode(content, type=ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Refused(f"the origin answered {status}", status=status, error="")
    return Refused(body.detail, status=status, error=body.error)
