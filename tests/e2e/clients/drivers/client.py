"""Uses a client that openapi-python-client generated: BASE MOMENT TOKEN FRONT BACK; prints a line for each step."""

import io
import sys
from pathlib import Path

from snapsurge import AuthenticatedClient
from snapsurge.api.moments import upload
from snapsurge.api.posts import get_photo, get_post, get_post_meta
from snapsurge.models import GetPhotoSide, GetPhotoSize, PostView, Problem, UploadBody
from snapsurge.types import File

base, moment, token, front, back = sys.argv[1:]
client = AuthenticatedClient(base_url=base, token=token)
files = [File(io.BytesIO(Path(path).read_bytes()), Path(path).name, "image/jpeg") for path in (front, back)]
made = upload.sync_detailed(moment, client=client, body=UploadBody(*files, meta='{"caption":"hello"}'))
assert isinstance(made.parsed, PostView), made.content
print(made.status_code.value, made.parsed.id)
found = made.parsed
while found.state == "accepted":
    answer = get_post.sync(found.id, client=client, wait=3)
    assert isinstance(answer, PostView), answer
    found = answer
print(found.state)
picture = get_photo.sync(found.id, GetPhotoSide.FRONT, GetPhotoSize.THUMB, client=client)
assert isinstance(picture, File)
print(picture.payload.read(2).hex())
print(get_post_meta.sync(found.id, client=client)["caption"])
refused = get_post.sync(found.id[:26] + "-no-such-moment", client=client)
assert isinstance(refused, Problem)
print(refused.code)
