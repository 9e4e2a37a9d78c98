"""Credentials for an S3 store: from the standard AWS variables, else from botocore, which finds and renews them.

botocore knows profiles, roles, containers and instances. It is imported only if needed: with keys in the environment,
as in most deployments of MinIO, a node saves its memory.
"""

from collections.abc import Awaitable, Callable

from ..blobs import StoreUnavailable
from ..config import AwsVariables
from .signing import Keys

# Returns the current keys; called before each request, because keys may be renewed. May raise anything; see `NoKeys`.
Source = Callable[[], Awaitable[Keys]]


class NoKeys(OSError):
    """The keys could not be found or renewed: nothing was asked of the store."""


async def found(variables: AwsVariables) -> tuple[Source, str]:
    """The source of the keys, and the CA file to trust (empty: the system's); StoreUnavailable if there are no keys."""
    if variables.access_key_id and variables.secret_access_key:
        fixed = Keys(variables.access_key_id, variables.secret_access_key, variables.session_token or None)

        async def same() -> Keys:
            return fixed

        return same, variables.ca_bundle

    from aiobotocore.session import get_session  # noqa: PLC0415 - see the module's docstring
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    session = get_session()
    try:
        credentials, ca_file = await session.get_credentials(), session.get_config_variable("ca_bundle") or ""
    except BotoCoreError as error:  # a profile that does not exist, half a pair, a file that cannot be parsed
        raise StoreUnavailable(f"no keys for the store: {error}") from error
    if credentials is None:
        raise StoreUnavailable("no keys for the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")

    async def renewed() -> Keys:
        frozen = await credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    return renewed, ca_file
