"""The dashboard of a moment: whether the last kept its promises, then each tier in the order that a pair travels."""

from typing import Final

from .panels import Board, Row, lines, per_second, quantiles, stat

LAST: Final = "and on (moment) topk(1, moment:snapsurge_fires:timestamp_seconds <= time())"


def posts(state: str) -> str:
    """The posts of the last moment in a state."""
    return f'sum(moment_state:snapsurge_posts:max{{state="{state}"}} {LAST})'


def settled(record: str) -> str:
    """What was recorded last while the last moment settled."""
    return f"max(last_over_time({record}[1d]) {LAST})"


PROMISES: Final = Row(
    "Did the last moment keep its promises?",
    (
        stat(
            "Since it closed",
            "Seconds since the last moment's window closed. The panels beside are final ten minutes after it.",
            "s",
            f"time() - max(moment:snapsurge_closes:timestamp_seconds {LAST})",
        ),
        stat("Accepted", "Pairs acknowledged, exact, from the index.", "short", posts("accepted")),
        stat(
            "Late",
            "Posts whose first try came after the window. Rightly late ones are no fault.",
            "short",
            posts("late"),
        ),
        stat("Pending", "Posts neither ready nor rejected. 0 when the backlog is drained.", "short", posts("pending")),
        stat(
            "Gave up",
            "Pairs that were refused or broken off and did not come back: tickets given less tickets honoured. "
            "Alert SnapsurgeBudgetSpent.",
            "short",
            settled("moment:snapsurge_pairs_given_up:count"),
            bad=2,
        ),
        stat(
            "Ready within 60 s",
            "Part of the posts that were ready a minute after their head was received; the aim is 99 %.",
            "percentunit",
            settled("moment:snapsurge_ready_within_60s:ratio"),
            bad=0.99,
            bad_below=True,
        ),
        stat(
            "Budget left",
            "Error budget of the last 28 moments that is left; 99.9 % of the pairs offered in time are acknowledged.",
            "percentunit",
            "1 - service:snapsurge_budget_spent:ratio28",
            bad=0,
            bad_below=True,
        ),
        stat(
            "Not believed",
            "Requests of the last hour whose Snapsurge-Received-At a node ignored: users may be marked late wrongly. "
            "Alert SnapsurgeWronglyLate.",
            "short",
            "sum(increase(snapsurge_ingest_disbelieved_total[1h]))",
            bad=1,
        ),
        stat(
            "Dead letters",
            "Jobs given up: `python -m processors dead list`.",
            "short",
            "max(snapsurge_dead_letters)",
            bad=1,
        ),
        stat(
            "Alerts",
            "Alerts of snapsurge that fire now; deploy/README.md has a paragraph for each.",
            "short",
            'count(ALERTS{alertname=~"Snapsurge.*", alertstate="firing"}) or vector(0)',
            bad=1,
        ),
    ),
)
BALANCERS: Final = Row(
    "Balancers",
    (
        lines(
            "Requests",
            "Answers by status class. 5xx during a burst: shed with a ticket, or a fault; `gone`: the client left.",
            "reqps",
            per_second("snapsurge_lb_requests_total", "status"),
        ),
        lines(
            "Tickets",
            "Given with a 502, 503, 504 or 507, honoured when brought back. `foreign` and `ahead` must stay at 0.",
            "ops",
            per_second("snapsurge_lb_tickets_total", "outcome"),
        ),
        lines(
            "Bytes",
            "Bytes of bodies from clients and to clients.",
            "Bps",
            ("sum(rate(snapsurge_lb_bytes_in_total[$__rate_interval]))", "in"),
            ("sum(rate(snapsurge_lb_bytes_out_total[$__rate_interval]))", "out"),
        ),
        lines(
            "In flight at each node",
            "Requests in flight, over all balancers. One node far above the others is slow, or hot.",
            "short",
            ("sum by (node) (snapsurge_lb_node_in_flight)", "{{node}}"),
        ),
        lines(
            "Balancers that see a node healthy",
            "Fewer than there are balancers: `/nodes` at the admin port of the others says why.",
            "short",
            ("sum by (node) (snapsurge_lb_node_up)", "{{node}}"),
        ),
        lines(
            "Moves, spills and losses",
            "Requests sent again or moved, placed elsewhere because their home was full, and connections lost.",
            "ops",
            ("sum(rate(snapsurge_lb_retries_total[$__rate_interval]))", "moved"),
            ("sum(rate(snapsurge_lb_spills_total[$__rate_interval]))", "spilled"),
            ("sum(rate(snapsurge_lb_lost_total[$__rate_interval]))", "lost"),
            ("sum(rate(snapsurge_lb_retries_denied_total[$__rate_interval]))", "not moved"),
        ),
        lines(
            "Ring share",
            "Part of all users whose home is the node; the same at all balancers, or users have two homes.",
            "percentunit",
            ("avg by (node) (snapsurge_lb_node_ring_share)", "{{node}}"),
        ),
        lines(
            "Connections",
            "Open client connections, and those refused over the limit.",
            "short",
            ("sum(snapsurge_lb_clients)", "open"),
            ("sum(increase(snapsurge_lb_connections_refused_total[$__rate_interval]))", "refused"),
        ),
    ),
)
NODES: Final = Row(
    "Nodes",
    (
        lines(
            "Uploads",
            "Uploads by outcome. `shed` comes back with a ticket; `not_queued` waits for the sweeper.",
            "ops",
            per_second("snapsurge_posts_total", "outcome"),
        ),
        lines(
            "Time of an upload",
            "From the head of the request to its answer: mostly the phone's network.",
            "s",
            *quantiles("snapsurge_ingest_request_seconds", 'route="upload"'),
        ),
        lines(
            "Bytes in flight against the budget",
            "At 100 % the node sheds.",
            "percentunit",
            (
                "max by (instance) (snapsurge_ingest_in_flight_bytes / snapsurge_ingest_in_flight_bytes_max)",
                "{{instance}}",
            ),
        ),
        lines(
            "Not ready",
            "Causes for which a node answers its readiness check with 503.",
            "short",
            ("sum by (cause) (snapsurge_ingest_not_ready)", "{{cause}}"),
        ),
    ),
)
STORE: Final = Row(
    "Store",
    (
        lines(
            "Time of a commit",
            "The PUT that makes a pair durable, as nodes see it.",
            "s",
            *quantiles("snapsurge_stage_seconds", 'stage="store"'),
        ),
        lines(
            "Refusals",
            "Uploads that the store did not take. `quorum-lost` is a store with too few members, and no overload.",
            "ops",
            per_second("snapsurge_store_failures_total", "cause"),
        ),
        lines(
            "Commits",
            "Commits a second, and the current limit on concurrent commits, adapted to the speed of the store.",
            "short",
            ("sum(snapsurge_ingest_commits_per_second)", "commits/s"),
            ("sum(snapsurge_ingest_puts_max)", "at once at most"),
        ),
    ),
)
QUEUE: Final = Row(
    "Queue and workers",
    (
        lines(
            "Jobs",
            "Ready to be claimed, held by workers, and waiting for another try.",
            "short",
            ("max(snapsurge_queue_ready)", "ready"),
            ("max(snapsurge_queue_leased)", "leased"),
            ("max(snapsurge_queue_deferred)", "deferred"),
        ),
        lines(
            "Age of the oldest job",
            "Above 60 s posts become ready too late. Alert SnapsurgeDrainLate.",
            "s",
            ("max(snapsurge_queue_oldest_seconds)", "oldest"),
        ),
        lines(
            "Workers",
            "Workers that claim jobs, and the desired number.",
            "short",
            ("max(snapsurge_workers)", "there"),
            ("max(snapsurge_workers_desired)", "wanted"),
        ),
        lines(
            "Render",
            "Seconds of a render in the render process.",
            "s",
            *quantiles("snapsurge_render_seconds"),
        ),
        lines(
            "From arrival to ready",
            "From the head of the first try to the stored renditions; the aim is 99 % within 60 s.",
            "s",
            *quantiles("snapsurge_accept_to_ready_seconds"),
        ),
        lines(
            "Renders",
            "Renders by outcome; `rejected` is a photo that cannot be decoded.",
            "ops",
            per_second("snapsurge_worker_posts_total", "outcome"),
        ),
        lines(
            "Failed tries",
            "Failed job runs by cause: outages of store or Redis, and faults of our programs.",
            "ops",
            per_second("snapsurge_worker_failures_total", "kind"),
        ),
        lines(
            "Sweeper",
            "How late its next step is, the jobs that it queued because the queue had lost them, and renditions that "
            "it met whose pair the store has lost: 0 is the only good value of the last.",
            "short",
            ("max(snapsurge_sweep_behind_seconds)", "seconds behind"),
            ("sum(increase(snapsurge_swept_jobs_total[$__rate_interval]))", "jobs queued"),
            ("sum(increase(snapsurge_swept_lost_total[$__rate_interval]))", "pairs lost"),
        ),
    ),
)
MOMENT: Final = Board(
    uid="snapsurge-moment",
    title="A moment (snapsurge)",
    description="Whether the last moment kept its promises, then every tier in the order that a pair travels.",
    rows=(PROMISES, BALANCERS, NODES, STORE, QUEUE),
)
