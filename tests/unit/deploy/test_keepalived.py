"""deploy/keepalived and deploy/dns: the examples agree with each other and with the balancer's own defaults."""

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from lb.__main__ import parser

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
PAIR = [(DEPLOY / "keepalived" / f"lb-{n}.conf").read_text() for n in (1, 2)]


def value(text: str, name: str) -> str:
    """What a name is set to, or the first line of its block."""
    found = re.search(rf"^\s*{name}\s+(?:\{{\s*)?(\S+)", text, re.MULTILINE)
    assert found, name
    return found[1]


@pytest.mark.parametrize("text", PAIR)
def test_blocks_are_closed_and_the_tracked_script_exists(text: str) -> None:
    """Braces balance outside of comments, and what is tracked is defined."""
    code = re.sub(r"#.*", "", text)
    assert code.count("{") == code.count("}") > 3
    assert f"vrrp_script {value(text, 'track_script')} {{" in text


@pytest.mark.parametrize("text", PAIR)
def test_the_check_asks_the_admin_port_for_readiness(text: str) -> None:
    """The default admin address and `/readyz`, and no check outlasts its interval by more than a second."""
    assert f"http://{parser().get_default('admin')}/readyz" in text
    assert int(value(text, "timeout")) <= int(value(text, "interval")) + 1


def test_both_hold_the_same_address_and_name_each_other() -> None:
    """One router id, one floating address, different priorities; each one's peer is the other."""
    first, second = PAIR
    for name in ("virtual_router_id", "virtual_ipaddress", "interface", "advert_int"):
        assert value(first, name) == value(second, name)
    assert int(value(first, "priority")) > int(value(second, "priority"))
    assert (value(first, "state"), value(second, "state")) == ("MASTER", "BACKUP")
    assert value(first, "unicast_src_ip") == value(second, "unicast_peer")
    assert value(second, "unicast_src_ip") == value(first, "unicast_peer")


def test_the_zone_names_both_balancers() -> None:
    """Each family has both addresses, with one short TTL, and they are the ones of keepalived."""
    zone = (DEPLOY / "dns" / "upload.zone").read_text()
    rows = re.findall(r"^upload\s+(\d+) IN (A|AAAA)\s+(\S+)$", zone, re.MULTILINE)
    assert {ttl for ttl, _, _ in rows} == {"60"}
    assert [ip_address(address).version for _, _, address in rows] == [4, 4, 6, 6]
    assert [address for _, _, address in rows[:2]] == [value(text, "unicast_src_ip") for text in PAIR]


@pytest.mark.parametrize("text", PAIR)
def test_the_address_moves_before_a_draining_balancer_refuses(text: str) -> None:
    """Failed checks in a row, the last one's time-out and an election are over within the announce time of the unit."""
    unit = (DEPLOY / "systemd" / "snapsurge-balancer.service").read_text()
    announced = re.search(r"SNAPSURGE_LB_ANNOUNCE_MS=(\d+)", unit)
    assert announced
    seconds = int(value(text, "fall")) * int(value(text, "interval")) + int(value(text, "advert_int"))
    assert seconds < int(announced[1]) / 1000
    assert announced[0] in text
