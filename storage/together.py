"""Runs calls concurrently: returns all results, and raises the first failure itself instead of an exception group."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from .causes import unwrapped

R = TypeVar("R")


async def together(calls: Sequence[Callable[[], Coroutine[Any, Any, R]]], name: str) -> list[R]:
    """All results in order; the first failure cancels the other calls and is raised. `name` names the tasks."""
    with unwrapped():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call(), name=name) for call in calls]
    return [task.result() for task in tasks]
