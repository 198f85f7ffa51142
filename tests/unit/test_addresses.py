"""Which addresses are this machine's, and which are the internet's."""

from __future__ import annotations

import pytest

from core.addresses import is_loopback, is_public, is_public_unless_name


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("93.184.215.14", True),
        ("2001:4860:4860::8888", True),
        ("64:ff9b::808:808", True),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.1.1", False),
        ("172.16.0.1", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("::", False),
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
        ("::ffff:192.168.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)
def test_addresses_of_the_internet(address: str, public: bool) -> None:
    assert is_public(address) is public
    assert is_public_unless_name(address) is public


def test_a_name_may_be_anything_until_it_is_resolved() -> None:
    assert is_public_unless_name("localhost.example")
    with pytest.raises(ValueError, match="localhost"):
        is_public("localhost.example")


def test_this_machine() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"]))
    assert not any(map(is_loopback, ["", "10.0.0.1", "localhost.example", "127.0.0.1.example"]))
