import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.problems import InvalidInput
from ostiary.users.address import (
    canonical_email,
    canonical_username,
    is_service_address,
    parse_email,
    parse_mailbox,
    parse_username,
    service_email,
)

pytestmark = pytest.mark.rule("SU-1")

LONG_DOMAIN = ".".join(["x" * 61] * 3) + ".example"  # 193 bytes
anything = st.text() | st.text("aA1.-_@xn münchenİ\u0131\u212aß。\uff20\u0301\u200d\ud800\0", max_size=80)


def full_width(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("user@example.com", "user@example.com", id="plain"),
        pytest.param("User.Name@Example.COM", "User.Name@example.com", id="local part as typed, domain in lower case"),
        pytest.param("o'neil+tag!#$%&*/=?^_`{|}~-@example.com", "o'neil+tag!#$%&*/=?^_`{|}~-@example.com", id="atext"),
        pytest.param("a@host.invalid", "a@host.invalid", id="special-use domain"),
        pytest.param("root@localhost", "root@localhost", id="localhost"),
        pytest.param("a@München.example", "a@xn--mnchen-3ya.example", id="Unicode domain"),
        pytest.param("a@mu\u0308nchen.example", "a@xn--mnchen-3ya.example", id="decomposed"),
        pytest.param("a@XN--MNCHEN-3YA.example", "a@xn--mnchen-3ya.example", id="A-label"),
        pytest.param("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah", id="ideographic full stop"),
        pytest.param(f"a@{full_width('Example')}.com", "a@example.com", id="full width"),
        pytest.param("a@xn--i-7iq.example", "a@xn--i-7iq.example", id="ASCII that IDNA 2008 would not make"),
        pytest.param("a@r3---sn.example", "a@r3---sn.example", id="hyphens in third and fourth place"),
        pytest.param("a@3com.7-11.example", "a@3com.7-11.example", id="labels that begin with digits"),
        pytest.param("l" * 64 + "@example.com", "l" * 64 + "@example.com", id="longest local part"),
        pytest.param("l" * 60 + "@" + LONG_DOMAIN, "l" * 60 + "@" + LONG_DOMAIN, id="254 bytes"),
        pytest.param(f"a@{'x' * 63}.example", f"a@{'x' * 63}.example", id="longest label"),
    ],
)
def test_addresses_are_accepted_and_stored_in_one_form(text: str, address: str) -> None:
    email = parse_email(text)
    assert email.address == address
    assert email.canonical == address.lower() == canonical_email(text)
    assert parse_email(address) == email


def test_addresses_of_service_accounts_are_nobodys_but_known() -> None:
    for text in ("ci@service.invalid", "CI@SERVICE.invalid", f"ci@{full_width('service')}.invalid"):
        with pytest.raises(InvalidInput, match="service accounts"):
            parse_email(text)
        assert canonical_email(text) == service_email("ci").canonical == "ci@service.invalid"
        assert is_service_address(parse_mailbox(text).address)
    assert service_email("CI-Bot_1").address == "CI-Bot_1@service.invalid"
    for other in ("ci@a.service.invalid", "ci@service.invalid.example", "ci@example.com"):
        assert not is_service_address(parse_email(other).address)
    for username in (".ci", "ci.", "c..i"):
        with pytest.raises(InvalidInput, match="username of a service account"):
            service_email(username)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "@",
        "@example.com",
        "user@",
        "user@@example.com",
        "user@other@example.com",
        ".user@example.com",
        "user.@example.com",
        "us..er@example.com",
        '"user"@example.com',
        "user(comment)@example.com",
        "User <user@example.com>",
        "user@example.com, other@example.com",
        "user,other@example.com",
        "user;other@example.com",
        "user:other@example.com",
        " user@example.com",
        "user@example.com ",
        "user@example.com\n",
        "user\r\n@example.com",
        "user@exam\tple.com",
        "user\0@example.com",
        "us\u00e9r@example.com",
        "user\u202e@example.com",
        "user\ud800@example.com",
        "user@exam\ud800ple.com",
        "user\uff20example.com",
        "user@[127.0.0.1]",
        "user@127.0.0.1",
        "user@example.123",
        "user@gmail",
        "user@example..com",
        "user@.example.com",
        "user@example.com.",
        "user@-example.com",
        "user@example-.com",
        "user@exa_mple.com",
        "user@exam ple.com",
        "user@☃.example",
        "user@\u00ad",
        "user@\u200d.example",
        "user@a\u0301\u0301。",
        "user@xn--ü.example",
        f"user@{full_width('a/b')}.example",
        f"user@{'x' * 64}.example",
        f"user@{'ü' * 63}.example",
        "l" * 65 + "@example.com",
        "l" * 61 + "@" + LONG_DOMAIN,
        "u@" + "ü." * 100 + "example",
        "u@" + "x." * 1_000_000 + "example",
        "@" * 1_000_000,
    ],
)
def test_what_is_no_address_is_refused_and_has_a_key_of_no_address(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_email(text)
    assert refusal.value.detail.startswith("email must")
    assert canonical_email(text).startswith("none:")


@pytest.mark.parametrize(
    "spelling",
    ["jane@xn--mnchen-3ya.example", "JANE@münchen.example", "Jane@MÜNCHEN.EXAMPLE", "jAnE@Xn--Mnchen-3Ya.example"],
)
def test_all_spellings_have_one_key(spelling: str) -> None:
    assert canonical_email(spelling) == "jane@xn--mnchen-3ya.example"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("kate@example.com", "\u212aate@example.com"),
        ("info@example.com", "\u0131nfo@example.com"),
        ("user@example.com", "user@example.com "),
        ("user@example.com", "us\u0435r@example.com"),
        ("user@strasse.example", "user@straße.example"),
        ("user@example.com", "user+tag@example.com"),
        ("user@gmail.example", "us.er@gmail.example"),
    ],
)
def test_look_alikes_have_keys_of_their_own(one: str, other: str) -> None:
    assert canonical_email(one) != canonical_email(other)


@given(text=anything | st.builds("{}@{}".format, anything, anything))
def test_any_text_has_a_short_stable_ascii_key(text: str) -> None:
    key = canonical_email(text)
    assert key.isascii()
    assert key.isprintable()
    assert len(key) <= 254
    assert key == canonical_email(text)


@given(text=st.builds("{}@{}.example".format, st.text(string.ascii_letters + "+", min_size=1, max_size=64), st.text()))
def test_what_is_accepted_is_accepted_again_in_any_case(text: str) -> None:
    try:
        email = parse_email(text)
    except InvalidInput:
        return
    assert email.address.isascii()
    assert len(email.address) <= 254
    assert parse_email(email.address) == email
    assert parse_email(email.address.upper()).canonical == email.canonical
    assert email.address.startswith(text.rpartition("@")[0] + "@")


@given(label=st.text("äöüéñçøæåœ", min_size=1, max_size=20))
def test_a_domain_is_one_in_all_its_forms(label: str) -> None:
    key = canonical_email(f"a@{label}.example")
    assert key.startswith("a@xn--")
    assert key == canonical_email(f"A@{label.upper()}.Example") == canonical_email(key) == canonical_email(key.upper())


@pytest.mark.parametrize("text", ["abc", "username", "A.b-c_9", "...", "x" * 64])
def test_usernames_are_kept_as_typed_and_compared_without_case(text: str) -> None:
    assert parse_username(text) == text
    assert canonical_username(text) == canonical_username(text.upper()) == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab",
        "x" * 65,
        "user name",
        "user@example.com",
        "usér",
        "user\n",
        "user\0",
        "user\ud800",
        "\u212aate",
        "x" * 10**7,
    ],
)
def test_other_usernames_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="username must"):
        parse_username(text)
    assert canonical_username(text).startswith("none:")


@given(text=anything)
def test_a_username_is_never_an_address(text: str) -> None:
    assert not (canonical_username(text) == canonical_email(text) and not canonical_email(text).startswith("none:"))
    assert canonical_username(text).isascii()
