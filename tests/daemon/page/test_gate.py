"""Who may ask for what: hosts, origins, tokens."""

from typing import Any

import pytest

from daemon.page.gate import HEADERS, Gate, Visit

LOCAL = Gate("127.0.0.1", 7702, scheme="http", token=None)
OWN = {"Host": "127.0.0.1:7702", "Origin": "http://127.0.0.1:7702"}


def refused(gate: Gate = LOCAL, method: str = "GET", **kind: Any) -> str | None:
    headers = {name.replace("_", "-"): value for name, value in kind.pop("headers", {}).items()}
    return gate.refusal(Visit(method, headers, **kind))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7702", "localhost:7702", "LOCALHOST:7702", "[::1]:7702"]
)
def test_it_is_known_by_the_names_of_this_computer(host: str) -> None:
    assert refused(headers={"Host": host}) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example:7702", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:77020", "10.0.0.1:7702",
     "localhost.evil.example:7702", "127.0.0.1:7702.evil.example", "127.0.0.1:٧٧٠٢", "[::1"],
)  # fmt: skip
def test_by_any_other_name_it_answers_nothing(host: str) -> None:
    assert refused(headers={"Host": host}) is not None


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:7702", "http://127.0.0.1:7703",
     "http://localhost:7702", "http://127.0.0.1", ""],
)  # fmt: skip
@pytest.mark.parametrize("is_socket", [False, True])
def test_no_other_origin_may_ask(origin: str, is_socket: bool) -> None:
    headers = {**OWN, "Origin": origin}

    assert refused(headers=headers, is_socket=is_socket) is not None


def test_a_socket_and_a_change_must_say_where_they_come_from() -> None:
    host = {"Host": OWN["Host"]}

    assert refused(headers=host) is None
    assert refused(headers=host, is_socket=True) is not None
    assert refused(headers=OWN, is_socket=True) is None
    assert refused(headers={**host, "X-Performer": "1"}, method="POST") is not None
    assert refused(headers=OWN, method="POST") is not None
    assert refused(headers={**OWN, "X-Performer": "1"}, method="POST") is None
    assert refused(headers={**host, "X-Performer": "1"}, method="DELETE") is not None


def test_other_sites_may_link_here_and_not_embed_what_is_here() -> None:
    embedded = {"Host": OWN["Host"], "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}

    assert refused(headers=embedded) is not None
    assert refused(headers={**embedded, "Sec-Fetch-Mode": "navigate"}) is None
    assert refused(headers={**embedded, "Sec-Fetch-Site": "same-origin"}) is None


def test_beyond_this_computer_a_token_is_needed() -> None:
    gate = Gate("0.0.0.0", 7702, scheme="https", names=("piano",), token="right")
    headers = {"Host": "piano:7702"}

    assert refused(gate, headers=headers, token="right") is None
    for wrong in (None, "", "wrong", "right ", "rightt", "ríght"):
        assert "token" in str(refused(gate, headers=headers, token=wrong))


def test_who_listens_everywhere_answers_to_addresses_and_its_own_name_alone() -> None:
    gate = Gate("0.0.0.0", 7702, scheme="http", names=("piano",), token="right")

    for host in ("192.168.1.5:7702", "[fe80::1]:7702", "piano:7702", "localhost:7702"):
        assert refused(gate, headers={"Host": host}, token="right") is None
    assert refused(gate, headers={"Host": "rebound.example:7702"}, token="right") is not None


def test_a_port_that_the_scheme_implies_need_not_be_named() -> None:
    gate = Gate("127.0.0.1", 443, scheme="https", token=None)

    assert refused(gate, headers={"Host": "localhost", "Origin": "https://localhost"}) is None


def test_the_policy_admits_own_files_and_nothing_else() -> None:
    rules = dict(rule.split(" ", 1) for rule in HEADERS["Content-Security-Policy"].split("; "))

    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) <= {"'self'", "'none'"}
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
