"""Signed links: what is good, for how long, and that no other picture, path, spelling or time is."""

import base64
import hashlib
import itertools
import re

import pytest

from ingest.errors import Refusal
from ingest.links import MAC_BYTES, Links, unsigned

SECRET, OLD = b"a-secret-that-signs-links-in-tests-1", b"a-secret-that-signs-links-in-tests-2"
NOW, LIFE_S = 1_800_000_000.25, 600
PATH = "/v1/posts/abc-m/photos/front/thumb"
SHA256 = hashlib.sha256(b"picture").hexdigest()


def link(now: float = NOW, path: str = PATH, sha256: str = SHA256, secret: bytes = SECRET) -> str:
    """A link as a node gives it."""
    return Links([secret], LIFE_S).signer(now)(path, sha256)


def good(target: str, path: str = PATH, now: float = NOW, *secrets: bytes) -> bool:
    """Whether a node takes it."""
    try:
        Links(secrets or [SECRET], LIFE_S).read(target, path, now)
    except Refusal:
        return False
    return True


def test_a_link_is_read_as_it_was_made() -> None:
    """Its expiry in the form of the contract, and the picture that it is for."""
    made = link()
    found = Links([SECRET], LIFE_S).read(made, PATH, NOW)

    assert re.fullmatch(re.escape(PATH) + r"\?exp=\d{10}&sig=[\w-]{32}", made)
    assert SHA256.startswith(found.mark)
    assert len(found.mark) == 16
    assert f"exp={found.expires_at}&" in made


@pytest.mark.parametrize("life_s", [10, 11, 600, 3600, 604_800])
def test_a_link_stays_the_same_for_half_of_its_life(life_s: int) -> None:
    """At every second it has more than half of its life left, and at most all; it changes every half life."""
    links = Links([SECRET], life_s)
    step_s = life_s // 2
    times = range(int(NOW), int(NOW) + 2 * life_s, max(1, life_s // 500))
    found = [(now, links.read(links.signer(now)(PATH, SHA256), PATH, now).expires_at) for now in times]

    assert all(life_s - step_s < expires_at - now <= life_s for now, expires_at in found)
    ends = sorted({expires_at for _, expires_at in found})
    assert {later - sooner for sooner, later in itertools.pairwise(ends)} == {step_s}
    assert len({links.signer(now + part)(PATH, SHA256) for part in (0.0, 0.5, 0.999) for now in [times[0]]}) == 1


def test_links_of_different_pictures_change_at_different_times() -> None:
    """So that a cache never loses all at once: the times at which a thousand links change fill the whole half life."""
    sign = Links([SECRET], LIFE_S).signer(NOW)
    ends = [int(re.search(r"exp=(\d+)", sign(PATH, hashlib.sha256(b"%d" % n).hexdigest()))[1]) for n in range(1000)]

    assert max(ends) - min(ends) > 0.95 * LIFE_S / 2
    assert len(set(ends)) > 200


def test_a_link_ends() -> None:
    """At its expiry and not before, by the clock of the node that is asked; then the answer says so."""
    made = link()
    links, ends_at = Links([SECRET], LIFE_S), int(re.search(r"exp=(\d+)", made)[1])

    assert links.read(made, PATH, ends_at - 0.01).max_age_s(ends_at - 0.01) == 0
    assert links.read(made, PATH, NOW).max_age_s(NOW) == int(ends_at - NOW)
    for late in (ends_at, ends_at + 1e9):
        with pytest.raises(Refusal, match="link-expired") as refused:
            links.read(made, PATH, late)
        assert refused.value.status == 403


@pytest.mark.parametrize(
    "other",
    [
        PATH.replace("thumb", "full"),
        PATH.replace("front", "back"),
        PATH.replace("abc", "abd"),
        PATH.replace("abc-m/photos/front", "abc/photos/front"),
        "/v1/posts/abc-m",
    ],
)
def test_a_link_is_for_one_path(other: str) -> None:
    """Not for another rendition, photo or post, wherever the query is put."""
    query = link().partition("?")[2]

    assert good(f"{PATH}?{query}")
    assert not good(f"{other}?{query}", other)
    assert not good(f"{PATH}?{query}", other)
    assert not good(f"{other}?{query}", PATH)


def test_no_part_of_a_link_can_be_changed() -> None:
    """Each character of the query for each other one, a digit more or less, and the parts of two good links."""
    made = link()
    path, _, query = made.partition("?")
    for place, character in enumerate(query):
        for other in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_=&%+ \0":
            if other != character:
                assert not good(f"{path}?{query[:place]}{other}{query[place + 1 :]}"), (place, other)
    later = link(NOW + LIFE_S)
    exps, sigs = zip(*(one.partition("?")[2].split("&") for one in (made, later)), strict=True)
    assert good(f"{path}?{exps[1]}&{sigs[1]}")
    assert not good(f"{path}?{exps[1]}&{sigs[0]}")
    assert not good(f"{path}?{exps[0]}&{sigs[1]}")


def test_a_link_has_one_spelling() -> None:
    """Whatever else a server might read as the same: else one picture had any number of keys in a cache."""
    path, _, query = link().partition("?")
    exp, sig = query.split("&")
    raw = base64.urlsafe_b64decode(sig[4:])
    for other in (
        f"{path}?{sig}&{exp}",
        f"{path}?{query}&x=1",
        f"{path}?x=1&{query}",
        f"{path}?{query}&",
        f"{path}?&{query}",
        f"{path}?{query}&{query}",
        f"{path}?{exp}&{exp}&{sig}",
        f"{path}?{exp}&{sig}=",
        f"{path}?{exp};{sig}",
        f"{path}?exp=0{exp[4:]}&{sig}",
        f"{path}?exp=+{exp[4:]}&{sig}",
        f"{path}?exp={exp[4:]}.0&{sig}",
        f"{path}?exp=%31{exp[5:]}&{sig}",
        f"{path}?exp={exp[4:].translate({48 + n: 0x660 + n for n in range(10)})}&{sig}",
        f"{path}?{exp}&sig={raw.hex()}",
        f"{path}?{exp}&sig={base64.b64encode(raw + b'xx').decode()}",
        f"{path}?{query}#x",
        f"{path}?{query}\n",
        f"{path}/?{query}",
        f"/{path}?{query}",
        f"{path.replace('front', '%66ront')}?{query}",
        f"{path.replace('/photos', '/./photos')}?{query}",
        f"http://host{path}?{query}",
        query,
        path,
        "",
    ):
        assert not good(other), other


def test_a_link_names_the_picture_and_the_name_is_signed() -> None:
    """Other photos at the same path have other links; the mark of one cannot be put into the other's."""
    first, second = link(), link(sha256=hashlib.sha256(b"another").hexdigest())
    assert first != second
    sigs = [base64.urlsafe_b64decode(one.partition("sig=")[2]) for one in (first, second)]
    mixed = base64.urlsafe_b64encode(sigs[0][:MAC_BYTES] + sigs[1][MAC_BYTES:]).decode()

    assert not good(first.partition("sig=")[0] + "sig=" + mixed)


def test_secrets_rotate() -> None:
    """The first signs, all are accepted; one that is not in the list any more is not."""
    new = Links([SECRET, OLD], LIFE_S).signer(NOW)(PATH, SHA256)

    assert new == link() != link(secret=OLD)
    assert good(link(secret=OLD), PATH, NOW, SECRET, OLD)
    assert good(new, PATH, NOW, SECRET, OLD)
    assert not good(link(secret=OLD), PATH, NOW, SECRET)


def test_without_a_secret_there_are_no_signed_links() -> None:
    """A link is the path, and nothing is taken for a signature: not even one by an empty secret."""
    none = Links([], LIFE_S)

    assert (bool(none), none.signer(NOW)) == (False, unsigned)
    assert none.signer(NOW)(PATH, SHA256) == PATH
    with pytest.raises(Refusal, match="bad-link"):
        none.read(link(secret=b""), PATH, NOW)
