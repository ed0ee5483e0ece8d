"""Freed memory, kept for the next step.

A training step asks for the same large arrays again and again. Freed, they would go back to the
operating system, which has to find, clear and map every page anew: half of a step's time. So the C
library is told to keep them, within bounds:

- Arrays up to 64 MB come from its heap, where what is freed is found again. Larger ones are mapped
  and given back one by one: of those a step has few, and their pages cost little beside their work.
- What is free at the end of the heap goes back once it is more than 192 MB.

This is glibc's `mallopt`. Elsewhere nothing is assumed and nothing is done.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
MEGABYTE = 1 << 20


def is_glibc() -> bool:
    """Whether the C library is the one that these settings belong to."""
    name = "CS_GNU_LIBC_VERSION"
    known = getattr(os, "confstr_names", {})  # not on Windows
    return name in known and bool(os.confstr(name))


def keep_freed_memory() -> None:
    """Tell the C library, for the whole process."""
    if not is_glibc():
        return
    libc = ctypes.CDLL(None)
    if not libc.mallopt(M_MMAP_THRESHOLD, 64 * MEGABYTE):
        libc.mallopt(M_MMAP_THRESHOLD, 32 * MEGABYTE)  # the most that older ones take
    libc.mallopt(M_TRIM_THRESHOLD, 192 * MEGABYTE)
