"""What supervisor and page say to each other, one frozen type for each message."""

from dataclasses import dataclass

from daemon.settings import Settings


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What a page is started with."""

    settings: Settings
    token: str | None  # what a browser must know
    opens: str | None  # the address to open in a browser of this computer
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class PageBeat:
    """From the page, several times a second: it lives."""


@dataclass(frozen=True, slots=True)
class StopPage:
    """To the page: end."""
