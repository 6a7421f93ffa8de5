"""Compiling, with types kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def jit(function: FunctionT) -> FunctionT:
    """Compiled at its first call, and kept on disk for the next process. Divides as numpy does:
    what is not finite compares as it does there."""
    compiled: FunctionT = numba.njit(cache=True, error_model="numpy")(function)
    return compiled
