from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.edge.source import UNIX, Network, source_of

PROXIES = tuple(ip_network(text) for text in ("10.0.0.0/8", "2001:db8:ffff::/48"))

pytestmark = pytest.mark.rule("RL-2")


@pytest.mark.parametrize(
    ("peer", "address", "key"),
    [
        ("198.51.100.7", "198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("testclient", "testclient", "testclient"),
    ],
)
def test_the_source_is_the_peer(peer: str, address: str, key: str) -> None:
    source = source_of(peer, [], ())
    assert (source.address, source.key) == (address, key)


def test_a_unix_socket_has_one_source() -> None:
    assert source_of(None, ["198.51.100.7"], PROXIES) == UNIX


@pytest.mark.parametrize("trusted", [(), PROXIES], ids=["no proxies", "other proxies"])
def test_forwarding_headers_of_strangers_do_not_count(trusted: tuple[Network, ...]) -> None:
    assert source_of("192.0.2.1", ["198.51.100.7"], trusted).address == "192.0.2.1"


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        (["203.0.113.9, 198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        (["203.0.113.9", "198.51.100.7,10.2.3.4", "2001:db8:ffff::1"], "198.51.100.7"),
        (["rubbish, 198.51.100.7"], "198.51.100.7"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["198.51.100.7:4711"], "198.51.100.7"),
        (["\t[2001:db8::7]:4711 "], "2001:db8::7"),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["::ffff:198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, ::ffff:10.0.0.2"], "198.51.100.7"),
        (["198.51.100.7, [2001:db8:ffff::1]:80, 10.0.0.9:80"], "198.51.100.7"),
    ],
)
def test_read_from_the_right_to_the_first_hop_not_trusted(lines: list[str], address: str) -> None:
    assert source_of("10.0.0.1", lines, PROXIES).address == address


@pytest.mark.parametrize(
    "line",
    [
        "",
        "198.51.100.7,",
        "unknown",
        "_hidden",
        "localhost",
        "198.51.100.7:port",
        "198.51.100.7:123456",
        "198.51.100",
        "198.51.100.007",
        "198.51.100.7%eth0",
        "[2001:db8::7",
        "[2001:db8::7]x",
        "[[::1]]",
        "٣.3.3.3",
        "1" * 10_000,
        "198.51.100.7, unknown, 10.0.0.2",
    ],
)
def test_what_is_no_address_makes_the_peer_the_source(line: str) -> None:
    assert source_of("10.0.0.1", [line], PROXIES).address == "10.0.0.1"


@given(st.lists(st.text(max_size=30)), st.ip_addresses(network="198.51.100.0/24"))
def test_what_a_caller_writes_never_changes_his_source(written: list[str], caller: IPv4Address) -> None:
    """The proxy puts the address it saw at the right end, whatever stands there already."""
    assert source_of("10.0.0.1", [*written, str(caller)], PROXIES).address == str(caller)


@given(st.lists(st.text(max_size=30)))
def test_no_header_makes_it_fail(written: list[str]) -> None:
    assert source_of("10.0.0.1", written, PROXIES).key
