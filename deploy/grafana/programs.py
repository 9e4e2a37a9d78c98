"""The dashboard of the programs: which are there, and what each takes of its machine."""

from typing import Final

from .panels import Board, Row, lines

PROGRAMS: Final = Board(
    uid="snapsurge-programs",
    title="The programs (snapsurge)",
    description="Which programs are there, how ready they are, and what each takes of its machine.",
    rows=(
        Row(
            "Are they there?",
            (
                lines(
                    "Programs that answer",
                    "Programs that answer Prometheus, by tier.",
                    "short",
                    ('sum by (tier) (up{tier=~".+"})', "{{tier}}"),
                ),
                lines(
                    "Restarts",
                    "Starts of programs in the last minutes, seen from their start times.",
                    "short",
                    ('sum by (tier) (changes(process_start_time_seconds{tier=~".+"}[5m]))', "{{tier}}"),
                ),
                lines(
                    "Leaders",
                    "Elected autoscalers: must be 1; at 0 nothing scales or sweeps. Alert SnapsurgeNoLeader.",
                    "short",
                    ("sum(snapsurge_autoscaler_elected)", "elected"),
                ),
                lines(
                    "Processes that the ladder wants",
                    "As planned for the moment that is near; 0 without one, or without a ladder.",
                    "short",
                    ("max by (tier) (snapsurge_tier_desired)", "{{tier}}"),
                ),
                lines(
                    "Age of the last measurement",
                    "Seconds since the leader measured the queue; it grows while Redis does not answer.",
                    "s",
                    ("time() - max(snapsurge_queue_measured_timestamp_seconds)", "age"),
                ),
                lines(
                    "Redis servers",
                    "1 while a Redis answers the leader. Alert SnapsurgeShardAway.",
                    "short",
                    ("min by (shard) (snapsurge_redis_up)", "{{shard}}"),
                ),
                lines(
                    "Memory of Redis",
                    "Bytes that each Redis uses; at its maxmemory it takes no more jobs. Alert SnapsurgeRedisFull.",
                    "bytes",
                    ("max by (shard) (snapsurge_redis_memory_bytes)", "{{shard}}"),
                ),
            ),
        ),
        Row(
            "What do they take?",
            (
                lines(
                    "CPU",
                    "Cores used, by tier.",
                    "short",
                    ('sum by (tier) (rate(process_cpu_seconds_total{tier=~".+"}[$__rate_interval]))', "{{tier}}"),
                ),
                lines(
                    "Memory",
                    "Resident memory of the largest process of each tier.",
                    "bytes",
                    ('max by (tier) (process_resident_memory_bytes{tier=~".+"})', "{{tier}}"),
                ),
                lines(
                    "File descriptors",
                    "Part of the descriptors in use, of the fullest process of each tier; each connection takes one.",
                    "percentunit",
                    ('max by (tier) (process_open_fds{tier=~".+"} / process_max_fds{tier=~".+"})', "{{tier}}"),
                ),
            ),
        ),
    ),
)
