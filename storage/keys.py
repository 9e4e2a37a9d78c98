"""Stored names: how a moment and a user become one post id, where its objects lie, and every key in Redis.

Pure. No other module of nodes and workers spells a stored name. Post id: 26 characters, lower-case base32 of the first
16 bytes of BLAKE2b(moment id, NUL, user id), then a dash and the moment id, so that a post is found, or found not to
be, by one look. Keys of objects carry a two-hex-digit spread first, the first byte of that digest, because object
stores throttle by prefix.
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
    """The one id a user's post in a moment can have."""
    digest = hashlib.blake2b(f"{moment_id}\0{user_id}".encode()).digest()[:16]
    return f"{b32encode(digest).decode().rstrip('=').lower()}-{moment_id}"


def is_post_id(text: str) -> bool:
    """Whether this can be a post id: 128 bits leave three bits in the last of 26 base32 characters."""
    digest, dash, moment_id = text[:_DIGEST_CHARS], text[_DIGEST_CHARS : _DIGEST_CHARS + 1], moment_of(text)
    return dash == "-" and _DIGEST.fullmatch(digest) is not None and is_moment_id(moment_id)


def moment_of(post_id: str) -> str:
    """The moment that a post belongs to."""
    return post_id[_DIGEST_CHARS + 1 :]


def is_moment_id(text: str) -> bool:
    """Whether this can be a moment id: lower-case words and digits joined by dashes."""
    return len(text) <= MOMENT_ID_CHARS_MAX and _MOMENT_ID.fullmatch(text) is not None


def spread(post_id: str) -> str:
    """The two hex digits that a post's keys begin with."""
    return f"{_DIGITS.index(post_id[0]) << 3 | _DIGITS.index(post_id[1]) >> 2:02x}"


def intake(moment_id: str, post_id: str) -> str:
    """The object whose PUT commits the pair."""
    return f"{spread(post_id)}/intake/{moment_id}/{post_id}.zip"


def media(moment_id: str, post_id: str) -> str:
    """The object with all renditions and the record."""
    return f"{spread(post_id)}/media/{moment_id}/{post_id}.zip"


def intake_prefix(spread: str, moment_id: str) -> str:
    """Where one spread of a moment's intake objects is listed."""
    return f"{spread}/intake/{moment_id}/"


def media_prefix(spread: str, moment_id: str) -> str:
    """Where one spread of a moment's media objects is listed."""
    return f"{spread}/media/{moment_id}/"


MOMENTS_PREFIX = "moments/"


def moment(moment_id: str) -> str:
    """The moment's own object."""
    return f"{MOMENTS_PREFIX}{moment_id}.json"


def name_in(key: str) -> str:
    """The post or moment id that a listed key ends with."""
    return key.rsplit("/", 1)[1].rsplit(".", 1)[0]


# Redis: arq's own keys begin with `arq:`, all others with `snapsurge:`.

# The clock of scores (clock.py): hash.
CLOCK_KEY = "snapsurge:clock"
# The index (index.py): a post's record and flag (hash), that it was deleted (by which attempt), counts of a moment
# (hash), a moment as JSON, moments by when they fire (sorted set; of a region behind a colon), which are listed.
POST_KEY = "snapsurge:post:"
DELETION_KEY = "snapsurge:deletion:"
COUNTS_KEY = "snapsurge:counts:"
MOMENT_KEY = "snapsurge:moment:"
MOMENTS_KEY = "snapsurge:moments"
MOMENTS_LISTED_KEY = "snapsurge:moments-listed"
# Tokens of a user's rate limit (ingest/ratelimit.py).
RATE_KEY = "snapsurge:rate:"
# Nodes: members (hash), their last beats and changes (sorted sets), the version of the whole. Balancers read them, and
# spell these four names themselves: lb imports nothing of ours.
NODES_KEYS = ("snapsurge:nodes", "snapsurge:nodes:beats", "snapsurge:nodes:changes", "snapsurge:nodes:version")
# The queue: sorted sets of job ids, a job's score being when it may be claimed. In the order of their urgency: flags
# (milliseconds each), renders on time, late renders, renders that cost more than most (a worker finds out and puts them
# there), and what a burst left for later. The one without an ending is arq's default queue.
QUEUE_KEYS = ("arq:queue:flags", "arq:queue", "arq:queue:late", "arq:queue:dear", "arq:queue:later")
# Running jobs (hash, job id → counts, queue and token), jobs that wait for another run (hash, job id → counts), lost
# workers by time (sorted set), dead letters (hash), ids of purged letters by when (sorted set: the sweeper would find
# their posts unfinished, and run them again), what was counted (hash).
LEASES_KEY = "snapsurge:leases"
ATTEMPTS_KEY = "snapsurge:attempts"
DEATHS_KEY = "snapsurge:deaths"
DEAD_KEY = "snapsurge:dead"
PURGED_KEY = "snapsurge:purged"
COUNTED_KEY = "snapsurge:queue"
# Workers: their names (set), each one's pulse, who is elected, the autoscaler's decision.
WORKERS_KEY = "snapsurge:workers"
PULSE_KEY = "snapsurge:worker:"
ELECTED_KEY = "snapsurge:elected"
SCALING_KEY = "snapsurge:scaling"
# Sweeps: the run that marked this Redis, how far each moment's pass is (hash), and passes that ops began (hash).
SWEPT_KEY = "snapsurge:swept"
CURSORS_KEY = "snapsurge:sweep"
BY_HAND_KEY = "snapsurge:sweep-by-hand"
