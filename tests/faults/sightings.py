"""The values that a survey of one moment returns: intake objects, listed posts, and posts as single nodes show them."""

import msgspec


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An intake object: its user, the digests of its photos, Unix ms of its receipt; `broken` says what is wrong."""

    key: str
    user: str
    front: str
    back: str
    received_at: int
    broken: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A post as the API shows it; None for a photo that the record lacks. `wrong`: a fault in its renditions."""

    id: str
    user: str
    front: str | None
    back: str | None
    received_at: int
    state: str
    late: bool | None
    late_by: int | None
    wrong: str = ""

    @property
    def settled(self) -> bool:
        """Whether no job will change the post any more."""
        return self.state in {"ready", "rejected"} and self.late is not None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A post of a user who has deleted, as one node or the store's media object shows it: 404, or its digests.

    `picture`: the status of a request for its first rendition.
    """

    user: str
    where: str
    status: int
    picture: int = 404
    front: str = ""
    back: str = ""
