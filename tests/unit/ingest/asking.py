"""An admission that names users by itself, remembers whom it shed, and can check its own sums."""

from ingest.admission import Admission, Budget, Rank
from ingest.commits import Commits
from ingest.places import Place

NOW = 100.0


class Asked(Admission):
    """One that names users by itself and remembers whom it shed."""

    def __init__(self, requests: int = 100, size: int = 1000) -> None:
        super().__init__(Budget(requests_max=requests, bytes_max=size), Commits())
        self.shed: list[Place] = []
        self.users = 0

    def ask(self, length: int, rank: Rank = Rank.HOLDER, now: float = NOW, user: str = "") -> Place | None:
        """A place for a new user's upload, or for this one's."""
        self.users += 1
        place, victims = self.admit(user or f"user{self.users}", length, rank, now)
        self.shed += victims
        return place

    def taken(self, length: int, **more: object) -> Place:
        """A place that there is."""
        place = self.ask(length, **more)  # type: ignore[arg-type]
        assert place is not None
        return place

    def sums_are_right(self) -> bool:
        """Whether what is kept as sums is the sum of the places."""
        places = [place for own in self._users.values() for place in own]
        slow = [place for place in places if place.slow]
        return (
            (self.requests, self.bytes, self.held)
            == (len(places), sum(one.charged for one in places), sum(one.held for one in places))
        ) and (self._slow, self._slow_bytes) == (len(slow), sum(one.charged for one in slow))
