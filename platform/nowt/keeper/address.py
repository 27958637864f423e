"""Where a record keeper is: a URL of MLflow's server, without credentials."""

import os
from urllib.parse import urlsplit

from nowt.errors import ConfigError, require

VARIABLE = "NOWT_RECORD"


def address(text: str, given_as: str) -> str:
    """The URL in ``text``, as ``given_as`` names it. Raises ConfigError for what is none or carries a password."""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # of a port
        parts, fine = urlsplit(""), False
    if parts.username or parts.password:
        raise ConfigError(
            f"{given_as} carries a user or password: leave them out, and put them where MLflow's client looks for them "
            "(~/.mlflow/credentials, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
        )
    require(fine, f"{given_as} is {text!r}: it must be the URL of an MLflow server, such as http://127.0.0.1:5000")
    return text.rstrip("/")


def address_in_environment() -> str:
    """Where studies record to; empty: into the store's own mlflow.db. Raises ConfigError as ``address`` does."""
    text = os.environ.get(VARIABLE, "").strip()
    return address(text, VARIABLE) if text else ""
