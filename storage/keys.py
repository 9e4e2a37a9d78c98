"""Stored names: post ids, object keys, and every key in Redis.

Pure. No other module of nodes and workers spells a stored name. A post id is 26 characters of lower-case base32, of the
first 16 bytes of BLAKE2b(moment id, NUL, user id), cut from the digest of 64 bytes, then a dash and the moment id. The
post of a user in a moment is therefore found, or known to be absent, with one read. Object keys begin with a spread,
the first byte of that digest as two hex digits, because object stores throttle by prefix.
"""

import hashlib
import re
from base64 import b32encode

SPREADS = tuple(f"{byte:02x}" for byte in range(256))

_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"  # base32 (RFC 4648, section 6), in lower case
_DIGEST = re.compile(r"[a-z2-7]{25}[aeimquy4]")
_DIGEST_CHARS = 26
_MOMENT_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MOMENT_ID_CHARS_MAX = 80


def post_id(moment_id: str, user_id: str) -> str:
    """The only id that a user's post in a moment can have."""
    digest = hashlib.blake2b(f"{moment_id}\0{user_id}".encode()).digest()[:16]
    return f"{b32encode(digest).decode().rstrip('=').lower()}-{moment_id}"


def is_post_id(text: str) -> bool:
    """Whether the text has the form of a post id: the last of 26 base32 characters has three significant bits."""
    digest, dash, moment_id = text[:_DIGEST_CHARS], text[_DIGEST_CHARS : _DIGEST_CHARS + 1], moment_of(text)
    return dash == "-" and _DIGEST.fullmatch(digest) is not None and is_moment_id(moment_id)


def moment_of(post_id: str) -> str:
    """The moment id that a post id ends with."""
    return post_id[_DIGEST_CHARS + 1 :]


def is_moment_id(text: str) -> bool:
    """Whether the text has the form of a moment id: lower-case words and digits joined by dashes."""
    return len(text) <= MOMENT_ID_CHARS_MAX and _MOMENT_ID.fullmatch(text) is not None


def spread(post_id: str) -> str:
    """The two hex digits that begin a post's object keys."""
    return f"{_DIGITS.index(post_id[0]) << 3 | _DIGITS.index(post_id[1]) >> 2:02x}"


def intake(moment_id: str, post_id: str) -> str:
    """Key of the intake object, whose PUT commits the pair."""
    return f"{spread(post_id)}/intake/{moment_id}/{post_id}.zip"


def media(moment_id: str, post_id: str) -> str:
    """Key of the media object, with all renditions and the record."""
    return f"{spread(post_id)}/media/{moment_id}/{post_id}.zip"


def intake_prefix(spread: str, moment_id: str = "") -> str:
    """The prefix of the intake objects in one spread: those of one moment, which are its folder, or of all."""
    return f"{spread}/intake/{moment_id}/" if moment_id else f"{spread}/intake/"


# The folders of a spread.
KINDS = ("intake", "media")
MOMENTS_PREFIX = "moments/"


def moment(moment_id: str) -> str:
    """Key of the moment's own object."""
    return f"{MOMENTS_PREFIX}{moment_id}.json"


def account(moment_id: str) -> str:
    """Key of the account of a moment. No moment id has a dot, so it is no moment's object."""
    return f"{MOMENTS_PREFIX}{moment_id}{ACCOUNT_ENDING}"


ACCOUNT_ENDING = ".account.json"
PROBES_PREFIX = "probe/"


def probe(name: str) -> str:
    """Key of an object that is written and deleted again, to test the store or its endpoints."""
    return f"{PROBES_PREFIX}{name}"


def day_of(moment_id: str) -> str:
    """The day in a moment's id, as in `2026-01-31`; a changed moment fires up to a day before or after it."""
    day = moment_id.rsplit("-", 2)[-2]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def name_in(key: str) -> str:
    """The post id or moment id at the end of a listed key."""
    return key.rsplit("/", 1)[1].rsplit(".", 1)[0]


# Redis: arq's own keys begin with `arq:`, all others with `snapsurge:`.

# The clock of scores (redis_clock.py): hash.
CLOCK_KEY = "snapsurge:clock"
# The index (index.py): a post's record and flag (hash), the id of its last deletion, a moment's counts (hash), a moment
# as JSON, moment ids by firing time (sorted set; for one region with a colon and its name behind), the time range that
# the index has completely, and since when this Redis has data (the id of its life, index_scripts.py).
POST_KEY = "snapsurge:post:"
DELETION_KEY = "snapsurge:deletion:"
COUNTS_KEY = "snapsurge:counts:"
MOMENT_KEY = "snapsurge:moment:"
MOMENTS_KEY = "snapsurge:moments"
MOMENTS_LISTED_KEY = "snapsurge:moments-listed"
LIFE_KEY = "snapsurge:life"
# What nodes counted of a moment (tallies.py): their tallies (hash, a node's life → JSON), and the pairs that they
# refused for the service's sake, by the time of the first try (sorted set).
TALLY_KEY = "snapsurge:tally:"
REFUSED_KEY = "snapsurge:refused:"
# Tokens of a user's rate limit (ingest/ratelimit.py).
RATE_KEY = "snapsurge:rate:"
# Nodes: members (hash), their last heartbeats and changes (sorted sets), the version of the whole. Balancers read these
# four keys and spell the names themselves, because lb imports no other package of the project.
NODES_KEYS = ("snapsurge:nodes", "snapsurge:nodes:beats", "snapsurge:nodes:changes", "snapsurge:nodes:version")
# The queue: sorted sets of job ids; a job's score is the time from which it may be claimed. In order of urgency: flags
# (milliseconds each), renders on time, late renders, expensive renders ("dear": a worker finds out the cost and moves
# the job there), and work that a burst postponed. `arq:queue` is arq's default queue.
QUEUE_KEYS = ("arq:queue:flags", "arq:queue", "arq:queue:late", "arq:queue:dear", "arq:queue:later")
# Running jobs (hash, job id → counts, queue and token), jobs that wait for another run (hash, job id → counts), lost
# workers by time (sorted set), dead letters (hash), ids of purged dead letters by time (sorted set: without it the
# sweeper would find their posts unfinished and queue them again), event counters (hash), the bell (list: entries that
# wake idle workers).
LEASES_KEY = "snapsurge:leases"
ATTEMPTS_KEY = "snapsurge:attempts"
DEATHS_KEY = "snapsurge:deaths"
DEAD_KEY = "snapsurge:dead"
PURGED_KEY = "snapsurge:purged"
COUNTED_KEY = "snapsurge:queue"
BELL_KEY = "snapsurge:bell"
# Workers: their names (set), each worker's heartbeat, the elected leader, the autoscaler's decision and what was needed
# before it.
WORKERS_KEY = "snapsurge:workers"
PULSE_KEY = "snapsurge:worker:"
ELECTED_KEY = "snapsurge:elected"
SCALING_KEY = "snapsurge:scaling"
NEEDED_KEY = "snapsurge:scaling:needed"
# What Prometheus scrapes: balancers, workers and autoscalers, as JSON, by their last announcement (sorted set, unix ms
# of Redis' clock). Balancers spell the name themselves, as they do that of the nodes.
TARGETS_KEY = "snapsurge:targets"
# Sweeps: the run that marked this Redis, each age class's progress (hash), and sweeps that operators started (hash).
SWEPT_KEY = "snapsurge:swept"
CURSORS_KEY = "snapsurge:sweep"
BY_HAND_KEY = "snapsurge:sweep-by-hand"
# How far the removal of old photos and moments has come, by moment: hash.
RETENTION_KEY = "snapsurge:retention"
# The types of all keys with a fixed name, but for those of the sweeper's mark (sweeper.py).
TYPES = {
    **dict.fromkeys((*QUEUE_KEYS, *NODES_KEYS[1:3], DEATHS_KEY, PURGED_KEY, MOMENTS_KEY, TARGETS_KEY), "zset"),
    **dict.fromkeys((CLOCK_KEY, LEASES_KEY, ATTEMPTS_KEY, DEAD_KEY, COUNTED_KEY, NODES_KEYS[0], CURSORS_KEY), "hash"),
    **dict.fromkeys((BY_HAND_KEY, RETENTION_KEY), "hash"),
    **dict.fromkeys((MOMENTS_LISTED_KEY, ELECTED_KEY, SCALING_KEY, NEEDED_KEY, NODES_KEYS[3], SWEPT_KEY), "string"),
    LIFE_KEY: "string",
    WORKERS_KEY: "set",
    BELL_KEY: "list",
}
# All keys of the above: ACL rules have these patterns.
KEY_PATTERNS = ("snapsurge:*", "arq:*")
