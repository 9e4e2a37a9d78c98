"""Credentials for an S3 store: from the standard AWS variables, else from botocore, which finds and renews them.

botocore knows profiles, roles, containers and instances. It is imported only if needed: with keys in the environment,
as in most deployments of MinIO, a node saves its memory.
"""

from collections.abc import Awaitable, Callable

from ..blobs import StoreUnavailable
from ..config import AwsVariables
from .signing import Keys

# Returns the current keys; called before each request, because keys may be renewed.
Source = Callable[[], Awaitable[Keys]]


async def found(variables: AwsVariables) -> tuple[Source, str]:
    """The source of the keys, and the CA file to trust (empty: the system's); StoreUnavailable if there are no keys."""
    if variables.access_key_id and variables.secret_access_key:
        fixed = Keys(variables.access_key_id, variables.secret_access_key, variables.session_token or None)

        async def same() -> Keys:
            return fixed

        return same, variables.ca_bundle

    from aiobotocore.session import get_session  # noqa: PLC0415 - see the module's docstring

    session = get_session()
    credentials = await session.get_credentials()
    if credentials is None:
        raise StoreUnavailable("no keys for the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")

    async def renewed() -> Keys:
        frozen = await credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    return renewed, session.get_config_variable("ca_bundle") or ""
