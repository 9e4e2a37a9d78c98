"""Threads that nobody waits for, so that a name that is looked up for a minute does not keep the check running."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


# asyncio and aiohttp look names up in threads of the loop's executor. Such a call cannot be interrupted, and at its end
# `asyncio.run` waits for all these threads.
class Abandoning(ThreadPoolExecutor):
    """An executor for the loop whose calls are abandoned at its end; each has a thread of its own."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in a new thread, which ends with the process."""
        future = Future[T]()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                found = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is the result
                future.set_exception(error)
            else:
                future.set_result(found)

        # A daemon thread: the interpreter does not wait for it when it ends.
        Thread(target=call, name="look up", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as there
        """Return at once: a look-up that hangs in its thread must not delay the end of the program."""
