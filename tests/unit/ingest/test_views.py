"""What clients see of a post: null while it is not flagged, links to what there is."""

import msgspec

from ingest.views import json_answer, post_view
from storage.records import Photo, Photos, Post, Rendition

PHOTO = Photo(sha256="0" * 64, bytes=1, width=64, height=64, format="jpeg")
POST = Post(
    id="a" * 26,
    moment_id="m",
    user_id="alice",
    received_at="2026-01-01T00:00:00.000Z",
    state="accepted",
    photos=Photos(front=PHOTO, back=PHOTO),
)


def test_an_accepted_post_has_null_flags_and_no_pictures() -> None:
    """`late` is there and null; what is unknown is absent; the request id stays inside."""
    seen = msgspec.to_builtins(post_view(POST))

    assert (seen["late"], seen["late_by_ms"]) == (None, None)
    self = f"/v1/posts/{POST.id}"
    assert seen["links"] == {"self": self, "moment": "/v1/moments/m"}
    assert seen.keys().isdisjoint({"reason", "thumbhash", "request_id", "renditions"})


def test_a_ready_post_links_to_its_renditions() -> None:
    """Those it has, under the paths of the contract."""
    place = Rendition(offset=0, bytes=1, width=1, height=1, sha256="0" * 64)
    ready = msgspec.structs.replace(POST, state="ready", renditions={"front-thumb": place, "composite": place})
    links = post_view(ready).links

    assert links["front-thumb"] == f"/v1/posts/{POST.id}/photos/front/thumb"
    assert links["composite"] == f"/v1/posts/{POST.id}/photos/composite/feed"
    assert "back-thumb" not in links


def test_links_to_renditions_are_signed_and_the_others_are_not() -> None:
    """Each by its own path and digest; a post and a moment need a token in any case."""
    places = [Rendition(offset=0, bytes=1, width=1, height=1, sha256=digit * 64) for digit in "12"]
    ready = msgspec.structs.replace(POST, state="ready", renditions={"back-full": places[0], "composite": places[1]})
    links = post_view(ready, lambda path, sha256: f"{path}?sig={sha256[:4]}").links

    assert {name: link for name, link in links.items() if "?" in link} == {
        "back-full": f"/v1/posts/{POST.id}/photos/back/full?sig=1111",
        "composite": f"/v1/posts/{POST.id}/photos/composite/feed?sig=2222",
    }
    assert (links["self"], links["moment"]) == (f"/v1/posts/{POST.id}", "/v1/moments/m")


def test_header_names_are_given_with_underscores() -> None:
    """Keyword arguments have no dashes."""
    answer = json_answer({}, 201, Idempotent_Replayed="true")

    assert (answer.status, answer.headers["Idempotent-Replayed"]) == (201, "true")


def test_no_cache_answers_in_place_of_a_record() -> None:
    """Unless a call says otherwise."""
    assert json_answer({}).headers["Cache-Control"] == "no-store"
    assert json_answer({}, Cache_Control="max-age=1").headers["Cache-Control"] == "max-age=1"
