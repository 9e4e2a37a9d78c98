"""Address ranges that a setting lists as CIDRs, and whether an address lies in one of them. Pure."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Networks = tuple[IPv4Network | IPv6Network, ...]

ADDRESS_CHARS_MAX = 64  # An IPv6 address has at most 45 characters; the name of its zone may follow.


def networks(cidrs: str) -> Networks:
    """Parse comma-separated CIDRs; raises ValueError that names the malformed one."""
    return tuple(ip_network(cidr.strip()) for cidr in cidrs.split(",") if cidr.strip())


def contains(known: Networks, address: str) -> bool:
    """Whether one of the networks contains the address; an IPv4 address mapped into IPv6 counts as IPv4."""
    if len(address) > ADDRESS_CHARS_MAX:
        return False
    try:
        found = ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in known)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches this address or name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
