"""Locks and forks: a child process has one thread, but every lock as it was.

One that another thread held at the moment of the fork would never be released in the child. So a
lock is taken before the process forks, and given back by both afterwards.
"""

import os
from typing import Any


def held_across_forks(lock: Any) -> Any:
    """`lock`, which from now on nobody else holds while the process forks."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=lock.release,
        )
    return lock
