"""The port: both stores have its methods, and its failures tell a caller what to do."""

import inspect

import pytest

from storage.blobs import BlobExists, BlobMissing, BlobStore, StoreFull, StoreUnavailable
from storage.files import FileStore
from storage.s3.store import S3Store


@pytest.mark.parametrize("store", [FileStore, S3Store])
def test_both_stores_have_every_method_of_the_port(store: type) -> None:
    """The same names with the same parameters: callers cannot tell them apart."""
    port = {name: member for name, member in vars(BlobStore).items() if inspect.isfunction(member)}
    for name in port.keys() - {"__init__", "__subclasshook__"}:
        ours, theirs = inspect.signature(port[name]), inspect.signature(getattr(store, name))
        assert list(ours.parameters) == list(theirs.parameters), name


def test_a_full_store_is_an_unavailable_one() -> None:
    """Who handles StoreUnavailable handles StoreFull; answers about objects are neither."""
    assert issubclass(StoreFull, StoreUnavailable)
    assert not issubclass(BlobExists, StoreUnavailable)
    assert not issubclass(BlobMissing, StoreUnavailable)
