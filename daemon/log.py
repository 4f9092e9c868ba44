"""How the processes of the daemon log: to stderr, one line each."""

import logging


def set_up_logging(verbose: bool) -> None:
    """Log from this process; `verbose` tells more than a musician needs."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
