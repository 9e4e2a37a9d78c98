"""What a job keeps while its report waits for others."""

from typing import Any

from storage.files import FileStore


async def test_a_report_that_waits_for_others_keeps_no_photos(world: Any) -> None:
    """A second's work of a fast worker would else fill its memory."""
    freed: list[int] = []

    class Archive(bytes):
        def __del__(self) -> None:
            freed.append(len(self))

    class Store(FileStore):
        async def read(self, key: str) -> bytes:
            return Archive(await super().read(key))

    async def reporting() -> None:
        assert freed

    post_id = await world.post()
    jobs = world.jobs(store=Store(world.store.root))
    assert await jobs.render_pair(world.moment_id, post_id, reporting=reporting) == "ready"
