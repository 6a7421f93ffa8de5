"""How to log in to a NATS server: from a file, so that no setting, URL or log holds a secret."""

from __future__ import annotations

from pathlib import Path

from nearcast.errors import ConfigError

URL_SCHEMES = ("nats://", "tls://")


def check_nats_url(url: str, name: str) -> None:
    """Raises ValueError for a URL of no use; `name` is that of the setting."""
    if not url:
        return
    if not url.startswith(URL_SCHEMES):
        raise ValueError(f"{name} must begin with nats:// or tls://")
    if "@" in url:
        raise ValueError(
            f"{name} must not hold credentials; put USER:PASSWORD, a token or a NATS credentials "
            "file into the credentials_file beside it"
        )


def nats_login(file: str) -> dict[str, str]:
    """Arguments for `nats.connect`: of a file made by `nsc`, or whose one line is USER:PASSWORD or
    a token; none without a file. Raises ConfigError."""
    if not file:
        return {}
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the NATS credentials in {file}: {error}") from error
    if text.startswith("-----BEGIN"):
        return {"user_credentials": file}
    if not text or "\n" in text:
        raise ConfigError(f"{file}: one line of USER:PASSWORD or a token, or a NATS credentials")
    user, colon, password = text.partition(":")
    return {"user": user, "password": password} if colon else {"token": text}
