"""Who may ask for what. Pure.

The page listens on this computer, and every site that the browser visits can send requests there.
So it answers only what comes by a name of its own (against DNS rebinding) and from its own pages,
and changes nothing for who merely follows a link.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

MARK = "X-Performer"
"""A header that a page of another site cannot send without asking first, which nobody answers."""
TOKEN_COOKIE = "performer_token"  # noqa: S105 - a name

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; media-src 'self'; connect-src 'self'; worker-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "midi=(self), camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HARMLESS = ("GET", "HEAD")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request says about itself. Names of headers are matched whatever their case."""

    method: str
    headers: Mapping[str, str]
    token: str | None = None  # as its address or its cookie has it
    is_socket: bool = False  # it asks for a WebSocket


class Gate:
    """Lets requests in, or says why not."""

    def __init__(
        self, host: str, port: int, *, scheme: str, names: tuple[str, ...] = (), token: str | None
    ) -> None:
        self._port = port
        self._scheme = scheme
        self._token = token
        self._is_everywhere = _is_everywhere(host)
        is_local = ipaddress.ip_address(host).is_loopback
        shown = f"[{host}]" if ":" in host else host
        self._names = {shown, *names, *(_LOCAL_NAMES if is_local or self._is_everywhere else ())}

    def refusal(self, visit: Visit) -> str | None:
        """Return why a request is not answered; None where it is."""
        headers = {name.lower(): value for name, value in visit.headers.items()}
        host = headers.get("host", "")
        if not self._is_ours(host):
            return f"this is not {host[:100]!r}; open the address that the Performer printed"
        origin = headers.get("origin")
        own = f"{self._scheme}://{host}".lower()
        if origin is not None and origin.lower() != own:
            return f"pages of {origin[:100]!r} may not ask here"
        if visit.is_socket and origin is None:
            return "a WebSocket must say where its page comes from (Origin)"
        if self._is_embedded_elsewhere(headers):
            return "other sites may not embed this"
        if visit.method not in _HARMLESS and (origin is None or MARK.lower() not in headers):
            return f"what changes something must come from the page itself (Origin, {MARK})"
        if self._token is not None and not hmac.compare_digest(
            self._token.encode(), (visit.token or "").encode()
        ):
            return "the token is missing or wrong; open the address that the Performer printed"
        return None

    def _is_ours(self, host: str) -> bool:
        name, port = _parts(host.lower())
        default = {"http": 80, "https": 443}[self._scheme]
        if (default if port is None else port) != self._port:
            return False
        return name in self._names or (self._is_everywhere and _is_address(name))

    def _is_embedded_elsewhere(self, headers: Mapping[str, str]) -> bool:
        comes_from = headers.get("sec-fetch-site", "none")
        is_followed = headers.get("sec-fetch-mode") == "navigate"
        return comes_from not in ("none", "same-origin") and not is_followed


def _is_everywhere(host: str) -> bool:
    return ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    """Tell an address from a name: only a name can be made to mean another computer."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _parts(host: str) -> tuple[str, int | None]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, None
    return name, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
