"""Asks NVIDIA's driver what there is, without any library but the driver's own."""

import ctypes
import sys

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
# Numbers of cuda.h: CUdevice_attribute.
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76


def compute_capability() -> tuple[int, int] | None:
    """Return major and minor compute capability of the first GPU, None if no driver has one."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    device = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    numbers = []
    for attribute in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR):
        number = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device):
            return None
        numbers.append(number.value)
    return numbers[0], numbers[1]
