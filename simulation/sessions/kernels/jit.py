"""Compiling, with types kept."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def jit(function: FunctionT) -> FunctionT:
    """Compiled with what calls it. Divides as numpy does: what is not finite compares as it does
    there."""
    compiled: FunctionT = numba.njit(error_model="numpy")(function)
    return compiled


def jit_kept(function: FunctionT) -> FunctionT:
    """Compiled with all it calls, and kept on disk for the next process. It must close over
    `fingerprint()`."""
    assert function.__closure__ is not None
    compiled: FunctionT = numba.njit(cache=True, error_model="numpy")(function)
    return compiled


def fingerprint() -> int:
    """Of the modules beside this one: their sources, and the numbers and fields that they have
    from elsewhere.

    To numba a kept function is the same as long as its own file and what it closes over are;
    with what it calls changed, it would go on doing what they did.
    """
    found = hashlib.sha256()
    for name in sorted(sys.modules):
        if name.startswith(f"{__package__}."):
            module = sys.modules[name]
            found.update(inspect.getsource(module).encode())
            for key, value in sorted(vars(module).items()):
                fixed = value if isinstance(value, int | float) else getattr(value, "_fields", None)
                found.update(f"{key}={fixed}".encode())
    return int.from_bytes(found.digest()[:7])
