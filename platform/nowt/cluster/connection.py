"""The Ray that this process uses: the cluster that RAY_ADDRESS names, or one that it starts on this machine."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from nowt.core.errors import AccessError, require

LOCAL = "local"

PORT_TIMEOUT = 10.0  # seconds; Ray itself tries for minutes to reach a host that does not answer


def ray_address() -> str:
    """Return the value of RAY_ADDRESS, or ``local`` if it is unset or empty."""
    return os.environ.get("RAY_ADDRESS") or LOCAL


@contextmanager
def connected(address: str, **options: object) -> Iterator[None]:
    """Connect this process to the cluster at ``address``, or start a Ray on this machine if it is ``local``.

    ``options`` are passed to ``ray.init``. A process that is connected already stays connected. Raises ConfigError if
    the address is of another form, and AccessError if no Ray answers there.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    _check_address(address)
    try:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
        except (ConnectionError, ray.exceptions.RayError) as error:
            raise unanswered(address, error) from error
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Check the form of the address, and that something listens there."""
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    require(
        bool(host) and port.isdecimal() and "/" not in host,
        f"RAY_ADDRESS is {address}: it must be HOST:6379 or, on the head, auto",
    )
    try:
        socket.create_connection((host.strip("[]"), int(port)), PORT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise unanswered(address, error) from error


def unanswered(address: str, error: Exception) -> AccessError:
    """Return the error of an address at which no Ray answers: one line, with the first line of ``error``."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return AccessError(
        f"RAY_ADDRESS is {address}, and no Ray answers there ({reason}): start it, or unset RAY_ADDRESS; if it runs, "
        "check that RAY_AUTH_MODE=token is set and that ~/.ray/auth_token is the cluster's token"
    )
