"""The inputs of a plan beside the burst and the costs, with their defaults: aims, machines, failures, quotas.

Each is an option of `bench plan`.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Part = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
DAY_S: Final = 86_400  # a moment accepts posts for a day, and a ladder spans one


# A default is an assumption and no measurement; a plan prints all of them.
class Aims(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs; a name ends in its unit."""

    store: Annotated[str, Meta(description="kind of store in the costs: minio or file")] = "minio"
    tls: Annotated[bool, Meta(description="balancers end TLS, with a new connection for each upload")] = True
    ready_s: Annotated[
        Positive, Meta(le=DAY_S, description="a pair is ready so many seconds after it was received")
    ] = 60.0
    utilisation: Annotated[
        Part, Meta(description="part of a core, a network card, memory that is planned to be used")
    ] = 0.7
    redis_utilisation: Annotated[
        Part, Meta(description="the same of a Redis, which has one thread and answers all others")
    ] = 0.5
    spare: Annotated[int, Meta(ge=0, description="machines of each tier that may be lost (n+1)")] = 1
    zones: Annotated[
        int, Meta(ge=0, description="zones over which a tier is spread, one of which may be lost; 0, 1 = no zone may")
    ] = 0
    cores: Annotated[Count, Meta(description="cores of a machine")] = 16
    memory_gib: Annotated[Positive, Meta(description="memory of a machine")] = 32.0
    nic_gbit: Annotated[Positive, Meta(description="network of a machine, each way")] = 10.0
    disk_mb_s: Annotated[Positive, Meta(description="bytes that a machine of our own store writes, in MB/s")] = 1000.0
    files_max: Annotated[Count, Meta(description="file descriptors of a process (ulimit -n)")] = 65_536
    lb_connections: Annotated[Count, Meta(description="connections of a balancer: SNAPSURGE_LB_CONNECTIONS_MAX")] = (
        20_000
    )
    node_requests: Annotated[Count, Meta(description="uploads in a node: SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX")] = (
        4096
    )
    redis_gib: Annotated[Positive, Meta(description="memory of one Redis")] = 8.0
    machine_start_s: Annotated[
        NotNegative, Meta(le=DAY_S, description="from the order of a machine until it starts programs")
    ] = 180.0
    margin_s: Annotated[NotNegative, Meta(le=DAY_S, description="added to each start time")] = 60.0
    views: Annotated[NotNegative, Meta(description="pictures read of each pair, soon after it is ready")] = 10.0
    views_s: Annotated[Positive, Meta(le=DAY_S, description="seconds over which they are read")] = 600.0
    view_kb: Annotated[NotNegative, Meta(description="kilobytes of a picture that is read")] = 150.0
    # At least so many a second and partitioned prefix: AWS, "Optimizing Amazon S3 performance"
    # (repost.aws/knowledge-center/http-5xx-errors-s3, read November 2026).
    prefix_puts_s: Annotated[Positive, Meta(description="PUTs a second that the store takes for one prefix")] = 3500.0
    prefix_gets_s: Annotated[Positive, Meta(description="GETs a second that the store takes for one prefix")] = 5500.0
    prefixes: Annotated[Count, Meta(description="prefixes that keys are spread over: two hex digits")] = 256
    moments_a_day: Annotated[Positive, Meta(description="moments of this region a day")] = 1.0
    redis_days: Annotated[Positive, Meta(description="days for which Redis keeps the index of a moment")] = 2.0
