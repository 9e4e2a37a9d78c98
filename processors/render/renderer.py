"""`python -m processors.render.renderer FD BYTES`: renders pairs, one after another, for its worker within a budget.

The headers of both photos give the expected cost before anything is decoded (storage/photo/costs.py). A timer of CPU
seconds is set to a multiple of that cost, and the kernel ends this process by SIGPROF when the timer expires. CPU time
does not pass while an overloaded machine runs other processes, so such a machine ends no valid render; and a decoder in
an endless loop cannot block the signal. On a slower machine the budget is longer, by the speed measured at the start.
An expensive pair is begun only when the order allows it.
"""

import io
import os
import queue
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import msgspec
from PIL import Image

from storage import intake, media
from storage.photo import costs
from storage.photo.formats import DECODABLE, Limits
from storage.records import Post, Side, accepted, flagged
from storage.zips import Damaged

from .. import memory
from ..runs import UNKNOWN, Run
from ..runs import rendered as rendered_times
from .decoding import Undecodable
from .images import Renditions, render
from .shared_file import put, taken
from .slot import Answer, Order

# The budget is `FLOOR_S` plus `HEADROOM` times the expected cost: the cost model has errors, caches may be cold, and
# other processes share the core.
HEADROOM: Final = 2.0
FLOOR_S: Final = 1.0
# CPU seconds of one trial of `slowness` on the machine where the costs were measured.
TRIAL_S: Final = 0.0023
SLOWNESS_MAX: Final = 8.0
ERROR_CHARS_MAX: Final = 4000

# Called as `render(front, back)`, or with `full=False` to leave out the `full` renditions.
Render = Callable[..., Renditions]


def finished(
    pair: intake.Intake, render: Render, *, full: bool = True, run: Run = UNKNOWN, began_s: float = 0.0
) -> tuple[Post, bytes]:
    """Render an intake object; its record and media object. A photo that cannot be decoded rejects the post.

    `began_s` is the CPU time of this process when it began with the pair.
    """
    post = flagged(accepted(pair.receipt), pair.receipt.late_by_ms)

    def timed(post: Post) -> Post:
        times = rendered_times(pair.receipt, run, time.time_ns() // 1_000_000, time.process_time() - began_s)
        return msgspec.structs.replace(post, times=times)

    try:
        rendered = render(pair.front, pair.back) if full else render(pair.front, pair.back, full=False)
    except Undecodable as error:
        return media.pack(timed(msgspec.structs.replace(post, state="rejected", reason=error.reason)), {})
    thumbhash = cast("dict[Side, str]", rendered.thumbhash)
    post = msgspec.structs.replace(post, state="ready", thumbhash=thumbhash, complete=full)
    images = sorted(rendered.images, key=lambda one: one.name.endswith("-full"))
    return media.pack(timed(post), {one.name: media.Image(one.data, one.width, one.height) for one in images})


def expected_s(pair: intake.Intake) -> float:
    """The maximum expected cost of the pair in CPU seconds, from the formats and sizes that its node read."""
    photos = ((pair.receipt.photos.front, pair.front), (pair.receipt.photos.back, pair.back))
    return sum(costs.cpu_s(one.format, memoryview(data), one.width, one.height) for one, data in photos)


def slowness() -> float:
    """How many times slower this machine is than the one where the costs were measured; 1 to `SLOWNESS_MAX`."""
    noise, photo = Image.frombytes("L", (512, 512), random.Random(1).randbytes(512 * 512)), io.BytesIO()
    noise.save(photo, "JPEG", quality=80)
    took = []
    for _ in range(8):
        began = time.process_time()
        Image.open(photo).convert("RGB")
        took.append(time.process_time() - began)
    return min(max(min(took) / TRIAL_S, 1.0), SLOWNESS_MAX)


def answered(order: Order, file: int, slow: float, limits: Limits = DECODABLE) -> Answer:
    """Carry out an order; every exception becomes an answer."""
    try:
        began_s = time.process_time()
        pair = intake.unpack(taken(file, order.bytes))
        cost_s = expected_s(pair)
        if cost_s > costs.DEAR_S and not order.dear:
            return Answer("dear")
        signal.setitimer(signal.ITIMER_PROF, (FLOOR_S + HEADROOM * cost_s) * slow)
        try:
            drawn = partial(render, limits=limits)
            post, body = finished(pair, drawn, full=order.full, run=order.run, began_s=began_s)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        put(file, body)
        return Answer("done", msgspec.Raw(msgspec.json.encode(post)), len(body))
    except Exception as error:  # noqa: BLE001 - the worker judges, this process goes on
        text = f"{error!r}\n{''.join(traceback.format_exception(error))}"[:ERROR_CHARS_MAX]
        if isinstance(error, Damaged):
            return Answer("damaged", error=text)
        return Answer("unfit" if isinstance(error, MemoryError | OSError) else "failed", error=text)


def _listen(orders: "queue.SimpleQueue[bytes]") -> None:
    """Pass orders to the main thread; at the end of standard input the worker has ended, so end this process."""
    for line in sys.stdin.buffer:
        orders.put(line)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Render pairs until standard input ends."""
    file = int(arguments[0])
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    limits = msgspec.structs.replace(DECODABLE, decode_bytes_max=int(arguments[1]))
    memory.bound(limits.decode_bytes_max)
    # Standard output carries only answers; the output of libraries goes to standard error, the log.
    answers = os.dup(1)
    os.dup2(2, 1)
    slow = slowness()
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()

    def say(answer: Answer) -> None:
        os.write(answers, msgspec.json.encode(answer) + b"\n")

    say(Answer("ready"))
    while True:
        say(answered(msgspec.json.decode(orders.get(), type=Order), file, slow, limits))


if __name__ == "__main__":
    main(sys.argv[1:])
