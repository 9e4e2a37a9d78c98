"""Read-only view of a bucket for `processors inspect`: its settings, endpoints and free space. Creates nothing."""

import ssl
import time
import warnings
from collections.abc import Iterator
from typing import Final

import aiohttp
import jwt
import jwt.warnings

from .. import config
from . import credentials
from .store import S3Store

# "Collect MinIO Metrics Using Prometheus": the token that `mc admin prometheus generate` makes; any other store: 404.
_FREE: Final = "minio_cluster_capacity_usable_free_bytes"
_ALL: Final = "minio_cluster_capacity_usable_total_bytes"
_METRICS: Final = "/minio/v2/metrics/cluster"
_TOKEN_S: Final = 60


class InspectedStore(S3Store):
    """The store, and what there is to know of it."""

    async def _make_bucket(self) -> None:
        """Make no bucket; StoreUnavailable if there is none."""
        await self.probe()

    async def warnings(self) -> list[str]:
        """What a person should know of the bucket's settings; StoreUnsuitable if they lose posts."""
        return [*await self._warnings()]

    @property
    def endpoints(self) -> dict[str, str]:
        """What each endpoint is good for now: a name of `endpoint.State`."""
        return {one.url: one.state.name for one in self._objects.endpoints.all}

    async def room(self, session: aiohttp.ClientSession) -> tuple[int, int] | None:
        """Free bytes and all bytes, as a MinIO tells them whose keys may read metrics; None if it does not."""
        if not self.address.endpoints:
            return None
        source, ca_file = await credentials.found(config.aws())
        keys, trust = await source(), ssl.create_default_context(cafile=ca_file or None)
        claims = {"sub": keys.access, "iss": "prometheus", "exp": int(time.time()) + _TOKEN_S}
        with warnings.catch_warnings():  # MinIO's form of tokens: HS512 with the secret key, however short that is
            warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)
            signed = jwt.encode(claims, keys.secret, algorithm="HS512")
        fields = {"Authorization": f"Bearer {signed}"}
        for url in self.address.endpoints:
            try:
                async with session.get(f"{url}{_METRICS}", headers=fields, ssl=trust) as answer:
                    rows = dict(_rows(await answer.text())) if answer.status == 200 else {}
            except (aiohttp.ClientError, OSError, TimeoutError):
                continue
            if _FREE in rows and _ALL in rows:
                return rows[_FREE], rows[_ALL]
        return None


def _rows(text: str) -> Iterator[tuple[str, int]]:
    """The two gauges and their values, without labels; others may have values that are no numbers."""
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if (name := name.partition("{")[0]) in {_FREE, _ALL}:
            yield name, int(float(value))
