"""The settings of glibc's allocator under which a training step does not ask for its memory anew.

A step frees hundreds of megabytes and wants them again in the next one. By default glibc hands
large pieces back to the system at once, which then zeroes them page by page: a tenth of a step.
"""

import os
import platform
import sys

SETTINGS = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # ask for pages of 2 MB
    "MALLOC_MMAP_MAX_": "0",  # no piece is mapped by itself and unmapped when freed
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),  # what is free at the end of the heap stays
    "MALLOC_TOP_PAD_": str(1 << 28),  # the heap grows by so many bytes at once
}


def restart_with_settings() -> None:
    """Start this program anew with the settings, where they mean anything and are not made yet.

    glibc reads them before a program begins. Whoever has set one of them is left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SETTINGS):
        return
    os.environ.update(SETTINGS)
    sys.stdout.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606
