"""Three hosts on one network, and what breaks it: namespaces, a bridge, and rules that drop packets and count them.

Each host is a network namespace with one address; a fourth namespace is the switch. The phones are this process, with
an address of its own on the same network. Needs root, ip(8) and iptables(8); `missing` says what is not there.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec

NAMES = ("a", "b", "c")
PREFIX_BITS = 24


class Host(msgspec.Struct, frozen=True):
    """A host: its name, address and namespace."""

    name: str
    address: str
    namespace: str

    def inside(self, *command: str, gid: int = 0) -> tuple[str, ...]:
        """The command line that runs `command` on this host, as this group."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}", "--setgid", str(gid), "--", *command)


class Rule(msgspec.Struct, frozen=True):
    """A rule of a host's firewall; `mark` finds it among others."""

    host: Host
    chain: str
    mark: str

    def packets(self) -> int:
        """How many packets it has matched."""
        listed = run(*self.host.inside("iptables", "-w", "-L", self.chain, "-v", "-x", "-n"))
        return next(int(line.split()[0]) for line in listed.splitlines() if self.mark in line)


def run(*command: str) -> str:
    """Run a command to its end; its output. CalledProcessError shows what it wrote."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def missing() -> str:
    """Why there can be no such network here, or empty."""
    if os.geteuid():
        return "networks of several hosts need root"
    for program, package in (("ip", "iproute2"), ("iptables", "iptables"), ("nsenter", "util-linux")):
        if not shutil.which(program):
            return f"networks of several hosts need {program}: install {package}"
    try:
        with Network():
            return ""
    except RuntimeError as error:
        return f"networks of several hosts cannot be made here: {error}"


class Network:
    """`with Network() as network`: `hosts` a, b and c, and `phones`, the address of this process on their network."""

    def __init__(self) -> None:
        number = os.getpid()  # two runs at once have networks of their own
        self._subnet = f"10.{64 + number % 64}.{number // 64 % 256}"
        self.phones = f"{self._subnet}.9"
        self.cidr = f"{self._subnet}.0/{PREFIX_BITS}"
        self._name = f"s{secrets.token_hex(4)}"  # the kernel frees names of an earlier network some time after it
        self.hosts = tuple(
            Host(name, f"{self._subnet}.{place}", f"{self._name}-{name}") for place, name in enumerate(NAMES, 1)
        )
        self._made = contextlib.ExitStack()

    def __enter__(self) -> Self:
        switch = f"{self._name}-sw"
        with self._made:
            for namespace in (switch, *(host.namespace for host in self.hosts)):
                run("ip", "netns", "add", namespace)
                self._made.callback(run, "ip", "netns", "del", namespace)
            run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
            run("ip", "-n", switch, "link", "set", "bridge", "up")
            for host in self.hosts:
                self._plug(switch, f"host-{host.name}", host.address, ("netns", host.namespace), ("-n", host.namespace))
                run("ip", "-n", host.namespace, "link", "set", "lo", "up")
            self._plug(switch, self._name, self.phones, (), ())
            self._made.callback(run, "ip", "link", "del", self._name)
            self._switch = switch
            self._made = self._made.pop_all()
        return self

    def _plug(self, switch: str, name: str, address: str, place: Sequence[str], there: Sequence[str]) -> None:
        """Connect an interface `name` in a namespace to the switch."""
        port = f"to-{name}"
        run("ip", "link", "add", "name", name, *place, "type", "veth", "peer", "name", port, "netns", switch)
        run("ip", *there, "addr", "add", f"{address}/{PREFIX_BITS}", "dev", name)
        run("ip", *there, "link", "set", name, "up")
        run("ip", "-n", switch, "link", "set", port, "master", "bridge", "up")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._made.close()

    @contextlib.contextmanager
    def rule(self, host: Host, chain: str, *words: str, table: str = "filter") -> Iterator[Rule]:
        """Inside the block, this host's firewall has a rule of these words at the head of the chain."""
        rule = Rule(host, chain, uuid.uuid4().hex)
        place = ("iptables", "-w", "-t", table)
        body = (chain, *words, "-m", "comment", "--comment", rule.mark)
        run(*host.inside(*place, "-I", *body))
        try:
            yield rule
        finally:
            run(*host.inside(*place, "-D", *body))

    @contextlib.contextmanager
    def deaf(self, host: Host, sources: Sequence[str], *match: str) -> Iterator[tuple[Rule, ...]]:
        """Inside the block, this host drops what comes from these addresses, as far as `match` says."""
        with contextlib.ExitStack() as rules:
            yield tuple(
                rules.enter_context(self.rule(host, "INPUT", "-s", source, *match, "-j", "DROP")) for source in sources
            )

    def unplug(self, host: Host) -> None:
        """Take the host's cable out of the switch."""
        run("ip", "-n", self._switch, "link", "set", f"to-host-{host.name}", "down")

    def replug(self, host: Host) -> None:
        """Put it back."""
        run("ip", "-n", self._switch, "link", "set", f"to-host-{host.name}", "up")
