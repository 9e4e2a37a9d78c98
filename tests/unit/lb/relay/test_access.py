"""lb.relay.access: lines and rows say enough and nothing secret; sampling is even and says its weight."""

import json

import msgspec

from lb.relay.access import RequestRecord, Sampler, line, row

RECORD = RequestRecord(
    unix_us=1_700_000_000_123_456,
    request_id=b"r-1",
    client=b"10.0.0.9",
    user=b"user-7",
    method=b"POST",
    target=b"/v1/x?token=secret",
    length=700_000,
    received=350_000,
    relayed=100,
    status=413,
    node="a",
    seconds=0.5,
    upload_s=0.25,
)


def test_a_line_has_the_request_and_no_query() -> None:
    """The id to search for, where it went, what came of it."""
    said = json.loads(line(RECORD, 4))
    assert (said["id"], said["client"], said["path"], said["status"]) == ("r-1", "10.0.0.9", "/v1/x", 413)
    assert (said["node"], said["ms"], said["bytes_in"], said["weight"]) == ("a", 500.0, 350_000, 4)
    assert b"secret" not in line(RECORD, 1)
    assert b"user-7" not in line(RECORD, 1)


def test_a_path_names_no_user() -> None:
    """Calls about one user have the id in their path; neither the log nor a trace has it."""
    target = b"/v1/users/alice%40example.org/posts?cursor=x"
    record = msgspec.structs.replace(RECORD, method=b"DELETE", target=target)

    assert json.loads(line(record, 1))["path"] == json.loads(row(record, b"k"))["p"] == "/v1/users/-/posts"
    record = msgspec.structs.replace(RECORD, target=b"/v1/Users/" + b"a" * 300)
    assert json.loads(line(record, 1))["path"] == "/v1/Users/-"


def test_a_path_that_names_a_node_ends_with_its_hint() -> None:
    """What follows is between the node and its client."""
    record = msgspec.structs.replace(RECORD, target=b"/v1/uploads/40f89e395b66422f.c2VjcmV0/x")

    assert json.loads(line(record, 1))["path"] == "/v1/uploads/40f89e395b66422f.-/x"


def test_a_clients_own_id_is_a_label() -> None:
    """Ours is `id` always; where a trusted balancer in front named the request, there is no other."""
    theirs, front = (msgspec.structs.replace(RECORD, label=label) for label in (b"their-1", b"r-1"))

    assert (json.loads(line(theirs, 1))["id"], json.loads(line(theirs, 1))["label"]) == ("r-1", "their-1")
    assert "label" not in json.loads(line(front, 1))
    assert "label" not in json.loads(line(RECORD, 1))


def test_a_row_hides_its_user() -> None:
    """The same user is the same hash under one secret, and another under another."""
    said = json.loads(row(RECORD, b"k"))
    assert (said["at"], said["len"], said["got"], said["up"], said["s"]) == (
        1_700_000_000_123_456,
        700_000,
        350_000,
        1_400_000,
        413,
    )
    assert said["u"] == json.loads(row(RECORD, b"k"))["u"] != json.loads(row(RECORD, b"l"))["u"]
    assert b"user-7" not in row(RECORD, b"k")


def test_few_requests_all_get_a_line() -> None:
    """Under the limit nothing is sampled."""
    sampler = Sampler(10)
    assert [sampler.weight(second + n / 10) for second in range(5) for n in range(10)] == [1] * 50


def test_under_load_lines_are_bounded_and_weights_add_up() -> None:
    """A burst from nothing: few lines a second, and the weights stand for all requests, within a tenth."""
    sampler, lines, weights = Sampler(10), 0, 0
    for second in range(20):
        for n in range(5000):
            weight = sampler.weight(second + n / 5000)
            lines += weight > 0
            weights += weight
    assert lines <= 20 * 10 + 150
    assert abs(weights - 100_000) < 10_000
