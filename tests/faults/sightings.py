"""What a survey found of one moment: intake objects, posts in the list, and posts as single nodes show them. Values."""

import msgspec


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An intake object: whose, digests of the bytes that are there, Unix ms of its receipt; `broken` says why not."""

    key: str
    user: str
    front: str
    back: str
    received_at: int
    broken: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A post as the API shows it; None where the record lacks a photo. `wrong` says what its renditions are not."""

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
        """Nothing more will happen to it."""
        return self.state in {"ready", "rejected"} and self.late is not None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one node, or the store's media object, shows of a post whose user has deleted: 404, or with which digests.

    `picture`: the status of its first rendition.
    """

    user: str
    where: str
    status: int
    picture: int = 404
    front: str = ""
    back: str = ""
