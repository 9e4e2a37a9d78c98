"""lb.networks: CIDRs of a setting, and the addresses in them."""

import pytest

from lb.networks import contains, is_loopback, networks

KNOWN = networks("10.0.0.0/8, ::1/128")


def test_networks_are_cidrs() -> None:
    """Blanks and empty parts are fine, nonsense is named."""
    assert networks(" , ") == ()
    with pytest.raises(ValueError, match="moon"):
        networks("moon")


@pytest.mark.parametrize(
    ("address", "is_trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::1", True),
        ("::ffff:10.0.0.1", True),
        ("unknown", False),
        ("", False),
    ],
)
def test_addresses_are_looked_up_as_themselves(address: str, is_trusted: bool) -> None:  # noqa: FBT001
    """IPv4 in IPv6 clothes is IPv4; what is no address is nobody."""
    assert contains(KNOWN, address) is is_trusted


def test_what_only_this_machine_reaches() -> None:
    """Loopback addresses, and the name that every machine has for them; not "all addresses", and no other name."""
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example")))  # noqa: S104 - compared, not bound
