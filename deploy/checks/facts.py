"""What is known of a stack before a moment, as it was gathered; `judging` modules turn it into checks. Pure.

`error` says why a program or a part could not be asked.
"""

import msgspec


# The answer of `/aboutz` (`storage/about.py`). Each field has a default, because a program of an older version does not
# tell all of them.
class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a program says of itself; the last four are a balancer's."""

    program: str
    code: dict[str, str] = {}
    now_ms: int = 0
    settings: dict[str, str] = {}
    secrets: dict[str, list[str]] = {}
    weak: list[str] = []
    files_max: int = 0
    files_needed: int = 0
    members: dict[str, str] = {}
    homes: str = ""
    certificate_begins_s: float | None = None
    certificate_ends_s: float | None = None


class Row(msgspec.Struct, frozen=True):
    """A node as a balancer sees it, a row of `/nodes`."""

    id: str
    address: str
    state: str
    reason: str = ""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A balancer, node, worker or autoscaler that was asked. `name` is for people; `rows` are a balancer's nodes.

    `address`: what balancers call a node, if that is known.
    `ready`: its readiness check, with its reason in `unready`. `ahead_ms` is its clock against this machine's, and
    `unsure_ms` how wrong that may be, half of the shortest round trip. `sweep_behind_s` is told by the autoscaler that
    leads.
    """

    kind: str
    name: str
    address: str = ""
    error: str = ""
    about: About | None = None
    ready: bool = True
    unready: str = ""
    rows: tuple[Row, ...] = ()
    ahead_ms: float = 0.0
    unsure_ms: float = 0.0
    sweep_behind_s: float | None = None


class Redis(msgspec.Struct, frozen=True, kw_only=True):
    """One Redis, as `processors inspect` prints it."""

    name: str
    error: str = ""
    group: bool = False
    role: str = ""
    replicas: int = 0
    failing: tuple[str, ...] = ()
    appends: bool = False
    policy: str = ""
    used_bytes: int = 0
    max_bytes: int = 0
    machine_bytes: int = 0
    ahead_ms: float = 0.0
    unsure_ms: float = 0.0


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """The store, as `processors inspect` prints it."""

    name: str = ""
    error: str = ""
    unfit: str = ""
    raced: bool = False
    warnings: tuple[str, ...] = ()
    endpoints: dict[str, str] = {}
    free_bytes: int | None = None
    all_bytes: int | None = None
    bounded: bool = True


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs in the queue."""

    ready: int
    leased: int = 0
    deferred: int = 0
    dead: int = 0


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """The autoscaler's decision: workers wanted, and how many of other tiers the ladder wants now."""

    desired: int
    tiers: dict[str, int] = {}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The moment that is checked for."""

    id: str
    region: str
    fires_at: str
    window_s: int
    cancelled: bool = False


# `deploy` imports no other package, so store and Redis are looked at by a program that has their code.
class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `processors inspect`; `error`: it could not be run. `addresses`: what it looked at, by setting."""

    error: str = ""
    addresses: dict[str, str] = {}
    redis: tuple[Redis, ...] = ()
    store: Store = Store()
    queue: Queue | None = None
    workers: int | None = None
    scaling: Scaling | None = None
    moment: Moment | None = None
    errors: dict[str, str] = {}  # by part, why it could not be looked at


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """The last rehearsal: a word for its end, and its age; `error` where its report cannot be read."""

    passed: bool = False
    text: str = ""
    age_s: float = 0.0
    error: str = ""


class Folder(msgspec.Struct, frozen=True):
    """Free and all bytes of the disk of a folder."""

    path: str
    free_bytes: int
    all_bytes: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. `now_s` is this machine's clock; `disk` the state directory's, if there is one here.

    `need_bytes` is what the plan puts into the store for one moment; None without a plan.
    """

    now_s: float
    programs: tuple[Program, ...]
    inspection: Inspection
    rehearsal: Rehearsal
    moment_id: str = ""
    disk: Folder | None = None
    need_bytes: float | None = None

    def of(self, kind: str) -> tuple[Program, ...]:
        """The programs of a kind."""
        return tuple(one for one in self.programs if one.kind == kind)

    def telling(self, *kinds: str) -> tuple[tuple[Program, About], ...]:
        """The programs of these kinds, or all, that told of themselves."""
        return tuple((one, one.about) for one in self.programs if one.about and (not kinds or one.kind in kinds))

    def silent(self, kind: str) -> str:
        """Why something cannot be told of programs of a kind; empty if one told of itself."""
        return "" if self.telling(kind) else f"no {kind} told of itself"

    def why(self, part: str) -> str:
        """Why a part of the inspection is not known."""
        found = self.inspection
        known = {"scaling": "there is no decision of an autoscaler in Redis"}
        return found.error or found.errors.get(part) or known.get(part, "not known")
