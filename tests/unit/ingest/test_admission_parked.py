"""Parked uploads in admission: what they count, their limit from both sides, and that they go before all others."""

from ingest.admission import Budget, Rank

from .asking import NOW, Asked


def parked_node(requests: int = 100, size: int = 1000, parked: int = 500) -> Asked:
    """An admission that keeps parked uploads."""
    node = Asked(requests, size)
    node.budget = Budget(requests_max=requests, bytes_max=size, parked_bytes_max=parked)
    return node


def test_a_parked_upload_keeps_its_place_and_counts_what_it_holds() -> None:
    """Announced bytes that did not arrive are no longer charged; coming back they are."""
    node = parked_node()
    place = node.taken(400)
    node.arrived(place, 100)
    charged = node.bytes
    assert node.park(place, NOW) == []
    assert (node.requests, node.bytes, node.held, node.parked.bytes) == (1, 100, 100, 100)
    assert node.sums_are_right()
    node.resume(place, NOW + 60)
    assert (node.requests, node.bytes, node.parked.bytes) == (1, charged, 0)
    assert node.sums_are_right()


def test_parked_uploads_have_a_limit_of_their_own() -> None:
    """Above it the least recently active goes; exactly at it nobody does. To be asked for is no activity."""
    node = parked_node(parked=200)
    places = [node.taken(200) for _ in range(3)]
    for number, place in enumerate(places):
        place.active_at += number
        node.arrived(place, 100)
    assert node.park(places[0], NOW) == []
    assert node.park(places[1], NOW) == []
    assert node.park(places[0], NOW) == []
    assert node.park(places[2], NOW) == [places[0]]
    assert (len(node.parked), node.parked.oldest) == (2, places[1])
    assert node.sums_are_right()


def test_an_upload_above_the_limit_of_parked_bytes_is_not_kept() -> None:
    """It goes itself."""
    node = parked_node(parked=99)
    place = node.taken(400)
    node.arrived(place, 100)
    assert node.park(place, NOW) == [place]
    assert (node.requests, node.held, node.parked.bytes) == (0, 0, 0)


def test_parked_uploads_go_before_every_moving_one_when_memory_is_needed() -> None:
    """A read finds no memory: the parked upload is shed, the slow one stays."""
    node = parked_node()
    slow, parked, moving = node.taken(300), node.taken(300), node.taken(400)
    node.arrived(slow, 300)
    node.arrived(parked, 300)
    node.arrived(moving, 300)
    node.park(parked, NOW + 50)
    granted, victims = node.room(moving, 150, NOW + 50)
    assert (granted, victims) == (150, [parked])
    assert not slow.gone


def test_parked_uploads_make_room_for_new_ones_the_oldest_first() -> None:
    """Also for late posts, and as many as are needed."""
    node = parked_node()
    old, new, moving = node.taken(400), node.taken(400), node.taken(50)
    for place in (old, new):
        node.arrived(place, 250)
        node.park(place, NOW)
    assert node.ask(400, Rank.LATE, NOW + 1) is not None
    assert node.shed == [old]
    assert not moving.gone
    assert node.sums_are_right()


def test_parked_uploads_make_room_when_requests_are_at_their_limit() -> None:
    """They count as uploads in flight, and are the first to go."""
    node = parked_node(requests=2)
    place, moving = node.taken(10), node.taken(10)
    node.park(place, NOW)
    assert node.ask(10, now=NOW + 1) is not None
    assert node.shed == [place]
    assert not moving.gone


def test_nobody_is_shed_where_it_would_not_be_enough() -> None:
    """A parked upload is kept when the new one does not fit without it either."""
    node = parked_node(size=1000)
    whole = node.taken(900)
    node.arrived(whole, 900)
    node.whole(whole, NOW)
    place = node.taken(50)
    node.arrived(place, 50)
    node.park(place, NOW)
    assert node.ask(200, now=NOW + 1) is None
    assert not place.gone


def test_a_laggard_takes_the_room_of_parked_uploads_only() -> None:
    """It was shed as slow before; a slow upload of somebody else stays."""
    node = parked_node(requests=3)
    node._laggards["slow"] = NOW + 600
    place, other = node.taken(300), node.taken(300)
    node.arrived(place, 300)
    node.arrived(other, 300)
    node.park(place, NOW)
    assert node.ask(350, user="slow") is not None
    assert node.shed == [place]
    assert not other.gone


def test_a_user_who_was_shed_while_parked_is_no_laggard() -> None:
    """Its client did nothing wrong."""
    node = parked_node(parked=0)
    place = node.taken(400, user="u")
    node.arrived(place, 100)
    assert node.park(place, NOW) == [place]
    assert node._laggards == {}


def test_the_wait_of_a_parked_upload_does_not_make_it_slow() -> None:
    """Its pace is that of the seconds in which it moved."""
    node = parked_node()
    place = node.taken(400)
    node.arrived(place, 200)
    node.park(place, NOW + 2)
    node.resume(place, NOW + 102)
    assert place.since == NOW + 100
    node.resume(place, NOW + 103)  # it moves already
    assert place.since == NOW + 100


def test_the_length_can_become_known_later() -> None:
    """A later request of an upload in parts tells it."""
    node = parked_node()
    place, _ = node.admit("u", 900, Rank.FIRST, NOW, announced=False)
    assert place is not None
    node.announce(place, 50)
    assert (place.length, place.announced, node.bytes) == (50, True, 50)
    assert node.sums_are_right()


def test_a_user_with_too_many_uploads_loses_the_parked_one() -> None:
    """Also when more of it has arrived than of those that move."""
    node = parked_node(size=10_000, parked=5000)
    places = [node.taken(100, user="u") for _ in range(4)]
    node.arrived(places[2], 90)
    node.park(places[2], NOW)
    assert node.ask(0, user="u") is not None
    assert node.shed == [places[2]]
