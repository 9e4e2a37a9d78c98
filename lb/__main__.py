"""`python -m lb`: reads command line and environment, and runs one balancer.

    python -m lb --listen 127.0.0.1:8080 --admin 127.0.0.1:8090 --node a=127.0.0.1:9001 --node b=127.0.0.1:9002

Exit status: 0 drained, 1 ended by a second signal or because a port is in use, 2 wrong options or settings.
"""

import argparse
import asyncio
import logging
import secrets
import signal
import sys

if __name__ == "__main__":  # Ctrl-C during the imports, which take a second, ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import msgspec
import uvloop

from . import logs
from .causes import unwrapped
from .config import PREFIX, PUBLIC_SEED, Config, ConfigError, load, rows
from .front.handover import listens, occupied, surplus
from .front.processes import REPLACED, ProcessGroup, reserve
from .front.tls import Termination
from .http1.keys import keys
from .membership.members import checked_address, parse_option
from .networks import is_loopback
from .placement.policy import POLICIES
from .server import Options, serve

log = logging.getLogger("snapsurge.lb")

PROCESSES_MAX = 256
EXAMPLE = "python -m lb --listen 127.0.0.1:8080 --admin 127.0.0.1:8090 --node a=127.0.0.1:9001"
UNSHARED_TICKETS = (
    "SNAPSURGE_LB_TICKET_SECRET is not set, using a random one: "
    "tickets are valid at this balancer only, until it restarts; set the same secret on all balancers"
)
PUBLIC_RING = (
    "SNAPSURGE_LB_RING_SEED is the public default: anybody can compute the node of a user and flood that one; "
    "set a secret of your own, the same on all balancers"
)
MORE_BEFORE = (
    "this group has %d processes, the running group has more: %d of its processes keep accepting connections. "
    "Restart this group with --processes %d, or send SIGTERM to the old group"
)
HASH_HELP = "bearer-sub|address|uri|header:NAME|path:PATTERN (%(default)s); PATTERN as /albums/*, * is one segment"
HASH_READS_HELP = (
    "--hash-on for GET and HEAD (default: same as --hash-on); a path that path:PATTERN does not match uses --hash-on"
)
REDIRECT_HELP = "with TLS: address for plain HTTP, which is answered 308 to https (see SNAPSURGE_LB_HTTPS_PORT)"
NODE_HELP = "a node, may end with ,weight=N and ,zone=NAME; repeat the option for more nodes"


def parser() -> argparse.ArgumentParser:
    """The parser; `--help` also prints the settings table."""
    widths = [max(len(row[column]) for row in rows()) for column in (0, 1)]
    table = "\n".join(f"  {name:<{widths[0]}}  {default:<{widths[1]}}  {text}" for name, default, text in rows())
    made = argparse.ArgumentParser(
        prog="python -m lb",
        description=f"Balances HTTP/1.1 servers by consistent hashing.\n\n  {EXAMPLE}",
        epilog=f"settings from the environment (name, default, meaning):\n{table}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:8080", help="address for clients (%(default)s)"
    )
    made.add_argument("--admin", metavar="HOST:PORT|off", default="127.0.0.1:8090", help="admin address (%(default)s)")
    made.add_argument("--node", metavar="ID=HOST:PORT", action="append", default=[], help=NODE_HELP)
    made.add_argument("--hash-on", metavar="KEY", default="bearer-sub", help=HASH_HELP)
    made.add_argument("--hash-reads-on", metavar="KEY", default="", help=HASH_READS_HELP)
    made.add_argument("--policy", choices=sorted(POLICIES), default="ring", help="how a node is chosen (%(default)s)")
    made.add_argument(
        "--processes",
        metavar="N",
        type=int,
        default=1,
        help="processes that share the port; their admin ports are P, P+1, ... (%(default)s)",
    )
    made.add_argument("--check", metavar="PATH|off", default="/readyz", help="path of active checks (%(default)s)")
    made.add_argument(
        "--tls-cert", metavar="FILE", help="require TLS; certificate chain in PEM, read again when changed"
    )
    made.add_argument("--tls-key", metavar="FILE", help="private key of the certificate, without a password")
    made.add_argument("--redirect-http", metavar="HOST:PORT", help=REDIRECT_HELP)
    made.add_argument("--proxy-protocol", action="store_true", help="require a PROXY header (v1, v2) on connections")
    logs.add_option(made)
    return made


def endpoint(text: str, option: str) -> tuple[str, int]:
    """Parse host:port; port 0 lets the system choose."""
    host, _, port = text.rpartition(":")
    if port != "0":
        try:
            checked_address(text)
        except ValueError as error:
            raise ValueError(f"{option} {error}") from error
    return host.strip("[]"), int(port)


def options(arguments: list[str], config: Config) -> Options:
    """Parse the options; raises ValueError with one line for the operator."""
    given = parser().parse_args(arguments)
    keys(given.hash_on, given.hash_reads_on, cache_max=1)
    nodes = [parse_option(option) for option in given.node]
    if len({node.id for node in nodes}) < len(nodes):
        raise ValueError("--node: an id is given twice")
    if not nodes and not config.redis_url:
        raise ValueError("no nodes: give --node ID=HOST:PORT or set SNAPSURGE_REDIS_URL")
    if not 1 <= given.processes <= PROCESSES_MAX:
        raise ValueError(f"--processes must be 1 to {PROCESSES_MAX}")
    if given.check != "off" and (not given.check.startswith("/") or not given.check.isascii() or " " in given.check):
        raise ValueError("--check must be a path or off")
    if bool(given.tls_cert) != bool(given.tls_key):
        raise ValueError("--tls-cert and --tls-key go together")
    if given.redirect_http and not given.tls_cert:
        raise ValueError("--redirect-http needs --tls-cert: without TLS there is nothing to redirect to")
    return Options(
        tls=Termination(given.tls_cert, given.tls_key) if given.tls_cert else None,
        redirect=endpoint(given.redirect_http, "--redirect-http") if given.redirect_http else None,
        proxy_protocol=given.proxy_protocol,
        listen=endpoint(given.listen, "--listen"),
        admin=None if given.admin == "off" else endpoint(given.admin, "--admin"),
        nodes=nodes,
        hash_on=given.hash_on,
        hash_reads_on=given.hash_reads_on,
        policy=given.policy,
        check=None if given.check == "off" else given.check,
        processes=given.processes,
        log=given.log,
    )


def main(arguments: list[str]) -> int:
    """Run; returns the exit status."""
    try:
        if {"-h", "--help"} & set(arguments):
            parser().parse_args(arguments)
        config = load()
        chosen = options(arguments, config)
        check_handover(config, chosen)
    except (ConfigError, ValueError) as error:
        print(f"lb: {error}", file=sys.stderr)
        return 2
    logs.set_up("lb", chosen.log)
    if not config.ticket_secret:
        log.warning(UNSHARED_TICKETS)
        config = msgspec.structs.replace(config, ticket_secret=secrets.token_hex())
    if config.ring_seed == PUBLIC_SEED and not is_loopback(chosen.listen[0]):
        log.warning(PUBLIC_RING)
    if chosen.processes == 1:
        status = run(config, chosen)
        return 0 if status == REPLACED else status
    try:
        with reserve(*chosen.listen) as reserved:
            listen = chosen.listen[0], reserved.getsockname()[1]
            log.info("%d processes share port %d", chosen.processes, listen[1])
            if left := surplus(config.handover, chosen.processes, PROCESSES_MAX):
                log.warning(MORE_BEFORE, chosen.processes, len(left), max(left) + 1)

            def succeeded(index: int) -> bool:
                return bool(config.handover) and listens(share(config, chosen, listen, index)[0].handover)

            group = ProcessGroup(lambda index: run(*share(config, chosen, listen, index)), succeeded)
            return group.run(chosen.processes)
    except OSError as error:
        print(f"lb: {error}", file=sys.stderr)
        return 1


def check_handover(config: Config, chosen: Options) -> None:
    """Raise ValueError where a handover socket would replace something that is no socket."""
    path, count = config.handover, chosen.processes
    for name in [path] if count == 1 else [f"{path}.{index}" for index in range(count)]:
        if path and occupied(name):
            raise ValueError(f"{PREFIX}HANDOVER: {name} is there and is no socket; give a path of its own")


def share(config: Config, chosen: Options, listen: tuple[str, int], index: int) -> tuple[Config, Options]:
    """Settings and options of process `index` of several: the same port, its own admin port and handover socket."""
    admin = chosen.admin
    if admin is not None and admin[1]:
        admin = admin[0], admin[1] + index
    if config.handover:
        config = msgspec.structs.replace(config, handover=f"{config.handover}.{index}")
    return config, msgspec.structs.replace(chosen, listen=listen, admin=admin)


def run(config: Config, chosen: Options) -> int:
    """Serve in this process until drained; returns the exit status, REPLACED if a successor has the sockets."""
    try:
        with unwrapped(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            replaced = runner.run(serve(config, chosen))
    except OSError as error:
        print(f"lb: {'; '.join([str(error), *getattr(error, '__notes__', [])])}", file=sys.stderr)
        return 1
    return REPLACED if replaced else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head`: the last output is lost without a traceback.
