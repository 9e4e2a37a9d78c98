"""What is wrong now, in words. Pure."""

from typing import Final

from . import view
from .view import Queue, View

UNMEASURED: Final = "Redis does not answer the autoscaler: the numbers of the queue are old"
UNLED: Final = "the leading autoscaler does not answer: moments and queue are unknown"


def problems(found: View) -> list[str]:
    """The problems of the stack; empty when all is well."""
    named = {one.name for one in found.nodes} | {one.name for one in found.balancers}
    fine = {view.HEALTHY, view.STARTING}
    return [
        *(f"balancer {one.name}: {one.state}" for one in found.balancers if one.state != view.HEALTHY),
        *(
            f"node {one.name}: {one.state}{f' ({one.why})' if one.why else ''}"
            for one in found.nodes
            if one.state not in fine
        ),
        *(f"{name}: {view.SILENT}" for name in found.silent if name not in named),
        *([UNLED] if found.queue is None else _queue(found.queue)),
        *(f"Redis {one.name}: {view.SILENT}" for one in found.shards if not one.up),
        *(f"store refuses pairs: {cause}" for cause in (found.store.refused if found.store else ())),
        *_uploads(found),
        *(uncounted(one.id) for one in (found.moment, *found.others) if one is not None and one.uncounted),
    ]


def uncounted(moment_id: str) -> str:
    """Words for counts that are not complete."""
    return f"the counts of moment {moment_id} are not complete: the sweeper counts its posts again"


def _queue(queue: Queue) -> list[str]:
    said = [UNMEASURED] if queue.stale else []
    said += [f"{queue.dead:.0f} dead letters"] if queue.dead else []
    return said + ([f"the sweeper is {queue.behind_s:.0f} s behind"] if queue.behind_s > view.BEHIND_S else [])


def _uploads(found: View) -> list[str]:
    if not found.flow.shed:
        return []
    of = "" if found.flow.offered is None else f" of {found.flow.offered:.1f}"
    return [f"shedding: {found.flow.shed:.1f}{of} uploads a second are refused"]
