"""Which addresses are on the public internet; all others are somebody's own network, machine or cloud."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from mitds.errors import SourceUnreachable

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv6-only networks show the IPv4 internet here (RFC 6052)."""

_CLOUDS_OWN = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
"""Public by number, to some releases of Python at least.

They are answered inside a cloud: metadata and credentials of the machine that asks.
"""

_KINDS = {
    "is_unspecified": "an unspecified",
    "is_loopback": "a loopback",
    "is_link_local": "a link-local",
    "is_multicast": "a multicast",
    "is_site_local": "a private",
    "is_private": "a private",
    "is_reserved": "a reserved",
}


def kind_of(address: str) -> str | None:
    """Say what an IP address is, with its article; None where it is on the public internet.

    Args:
        address: In the form that the system's resolver gives; an IPv6 zone is left out of account.
    """
    ip = _inner(ip_address(address.partition("%")[0]))
    if any(ip in network for network in _CLOUDS_OWN):
        return "a cloud's own"
    if isinstance(ip, IPv6Address) and (ip.sixtofour or ip.teredo):
        return "a tunnel's"
    for attribute, words in _KINDS.items():
        if getattr(ip, attribute, False):
            return words
    return None if ip.is_global else "a special-purpose"


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Unwrap IPv4 addresses in IPv6 clothing."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return ip.ipv4_mapped
        if ip in _TRANSLATED:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the resolver's order; numbers in any spelling are addresses too.

    Raises:
        OSError: The name is not known.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


def check_public(host: str, addresses: list[str]) -> None:
    """Refuse a host of which any address is not public: which one is used is not ours to choose."""
    for address in addresses:
        if kind := kind_of(address):
            at = "" if address == host else f"at {address}, "
            what = f"{host} is {at}{kind} address, which is refused unless fetch.private_hosts=true"
            raise SourceUnreachable(what, remedy="Allow it where the list is your own, or drop the line.")
