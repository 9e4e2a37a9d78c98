"""The port: its failures tell a caller what to do."""

from storage.blobs import BlobExists, BlobMissing, StoreFull, StoreUnavailable


def test_a_full_store_is_an_unavailable_one() -> None:
    """Who handles StoreUnavailable handles StoreFull; answers about objects are neither."""
    assert issubclass(StoreFull, StoreUnavailable)
    assert not issubclass(BlobExists, StoreUnavailable)
    assert not issubclass(BlobMissing, StoreUnavailable)
