"""HEIC and AVIF photos assembled by hand: grids, alpha channels, EXIF data, colours, and files that lie about them."""

import io
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import msgspec
from PIL import Image

from bench.contests.boxes import box, full
from storage.photo import boxes
from tests.unit.storage.photo import odd

SIZE: Final = (160, 128)
TILE: Final = (80, 64)
CODINGS: Final = {"HEIF": b"hvc1", "AVIF": b"av01"}
ESSENTIAL: Final = {b"hvcC", b"av1C", b"irot", b"imir", b"clap"}  # a reader that does not know one gives up
ALPHA: Final = full(b"auxC", 0, b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
FOUR: Final = [("dimg", 1, (2, 3, 4, 5))]


class Item(msgspec.Struct, frozen=True):
    """An item: its type, bytes and properties. Hidden items are not shown by themselves."""

    kind: bytes
    data: bytes
    properties: tuple[bytes, ...] = ()
    hidden: bool = False


@cache
def coded(kind: str, size: tuple[int, int] = TILE, colour: str = "teal", **options: object) -> tuple[bytes, bytes]:
    """The decoder configuration of an encoded gradient, as a box, and its bytes."""
    return coded_image(kind, Image.linear_gradient("L").resize(size).convert("RGB").point(_tint(colour)), **options)


def coded_image(kind: str, picture: Image.Image, **options: object) -> tuple[bytes, bytes]:
    """The decoder configuration of any picture, as a box, and its bytes."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    data = memoryview(out.getvalue())
    meta = next(one for one in boxes.boxes(data) if one.name == b"meta")
    found = boxes.items({one.name: one.body for one in boxes.boxes(meta.body[4:])})
    config = next(one for one in found.properties[found.primary] if one.name in {b"hvcC", b"av1C"})
    parts = [bytes(data[one.start : one.end]) for one in found.extents[found.primary]]
    return box(config.name, bytes(config.body)), b"".join(parts)


def _tint(colour: str) -> list[int]:
    full_band = {"teal": (0.2, 1, 1), "red": (1, 0.3, 0.3)}[colour]
    return [int(64 + share * value / 2) for share in full_band for value in range(256)]


def ispe(width: int, height: int) -> bytes:
    """A size."""
    return full(b"ispe", 0, struct.pack(">II", width, height))


def nclx(matrix: int, *, primaries: int = 1, transfer: int = 13, full_range: bool = True) -> bytes:
    """Code points."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, full_range << 7))


def image(
    kind: str, size: tuple[int, int] = TILE, *more: bytes, says: tuple[int, int] = (0, 0), **options: object
) -> Item:
    """A coded image, whose size is what `says` says."""
    config, data = coded(kind, size, **options)
    return Item(CODINGS[kind], data, (config, ispe(*(says if any(says) else size)), *more))


def spec(columns: int = 2, rows: int = 2, size: tuple[int, int] = SIZE) -> bytes:
    """What a grid item says."""
    return struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)


def grid(kind: str, *more: bytes, tiles: Sequence[Item] = (), **changes: object) -> dict[int, Item]:
    """A grid of two by two tiles, with changes."""
    given = dict(enumerate(tiles or [image(kind)] * 4, 2))
    size = msgspec.convert(changes.get("size", SIZE), tuple[int, int])
    said = msgspec.convert(changes.get("says", size), tuple[int, int])
    return {1: Item(b"grid", changes.get("spec") or spec(size=size), (ispe(*said), *more)), **given}  # type: ignore[arg-type]


def file(
    kind: str,
    items: dict[int, Item],
    references: Sequence[tuple[str, int, Sequence[int]]] = (),
    *,
    primary: int = 1,
    in_idat: Sequence[int] = (),
) -> bytes:
    """The whole file."""
    properties = list(dict.fromkeys(one for item in items.values() for one in item.properties))
    uses = b"".join(
        struct.pack(">HB", number, len(item.properties))
        + bytes(properties.index(one) + 1 | 128 * (one[4:8] in ESSENTIAL) for one in item.properties)
        for number, item in items.items()
    )
    entries = b"".join(
        box(b"infe", bytes((2, 0, 0, item.hidden)), struct.pack(">HH", number, 0), item.kind, b"\0")
        for number, item in items.items()
    )
    linked = b"".join(
        box(name.encode(), struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))
        for name, source, targets in references
    )
    count = struct.pack(">H", len(items))

    def meta(start: int) -> bytes:
        offsets, places = {0: start, 1: 0}, b""
        for number, item in items.items():
            method = int(number in in_idat)
            places += struct.pack(">HHHHII", number, method, 0, 1, offsets[method], len(item.data))
            offsets[method] += len(item.data)
        return full(
            b"meta",
            0,
            full(b"hdlr", 0, b"\0\0\0\0pict", bytes(13)),
            full(b"pitm", 0, struct.pack(">H", primary)),
            full(b"iloc", 1, b"\x44\x00", count, places),
            full(b"iinf", 0, count, entries),
            full(b"iref", 0, linked) if linked else b"",
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", 0, struct.pack(">I", len(items)), uses)),
            box(b"idat", *(items[number].data for number in in_idat)) if in_idat else b"",
        )

    brand = {"HEIF": b"heic", "AVIF": b"avif"}[kind]
    head = box(b"ftyp", brand, bytes(4), b"mif1miaf", brand)
    data = b"".join(item.data for number, item in items.items() if number not in in_idat)
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", data)


def exif(orientation: int) -> Item:
    """EXIF data."""
    return Item(b"Exif", struct.pack(">I", 6) + odd.exif(orientation))


def good() -> Iterator[tuple[str, bytes]]:
    """Photos that must be rendered."""
    for kind in CODINGS:
        alpha = msgspec.structs.replace(image(kind, SIZE, ALPHA), hidden=True)
        yield f"{kind}: image", file(kind, {1: image(kind, SIZE)})
        yield f"{kind}: grid", file(kind, grid(kind), FOUR)
        yield f"{kind}: grid in idat", file(kind, grid(kind), FOUR, in_idat=[1])
        yield f"{kind}: grid with cropped tiles", file(kind, grid(kind, size=(100, 80)), FOUR)
        wide = struct.pack(">BBBBII", 0, 1, 1, 1, *SIZE)
        yield f"{kind}: grid with sides of 32 bits", file(kind, grid(kind, spec=wide), FOUR)
        yield (
            f"{kind}: grid with hidden tiles, turned",
            file(
                kind,
                grid(
                    kind,
                    box(b"irot", b"\1"),
                    box(b"imir", b"\1"),
                    tiles=[msgspec.structs.replace(image(kind), hidden=True)] * 4,
                ),
                FOUR,
            ),
        )
        yield f"{kind}: alpha channel", file(kind, {1: image(kind, SIZE), 2: alpha}, [("auxl", 2, (1,))])
        for matrix in (1, 2, 5, 6, 8, 9):
            yield f"{kind}: matrix {matrix}", file(kind, {1: image(kind, SIZE, nclx(matrix))})
        alphas = {**grid(kind), **dict.fromkeys((6, 7, 8, 9), image(kind, TILE, ALPHA))}
        links = [("auxl", number, (number - 4,)) for number in (6, 7, 8, 9)]
        yield f"{kind}: tiles with alpha channels", file(kind, alphas, [*FOUR, *links])
        clap = box(b"clap", struct.pack(">8i", 100, 1, 80, 1, 10, 1, 0, 1))
        yield f"{kind}: clean aperture", file(kind, {1: image(kind, SIZE, clap)})
    small = image("HEIF", (128, 96), ALPHA)
    yield "HEIF: alpha channel of another size", file("HEIF", {1: image("HEIF", SIZE), 2: small}, [("auxl", 2, (1,))])
    yield "AVIF: RGB", file("AVIF", {1: image("AVIF", SIZE, nclx(0), subsampling="4:4:4")})
    yield "AVIF: grey", file("AVIF", {1: image("AVIF", SIZE, subsampling="4:0:0")})


def bad() -> Iterator[tuple[str, bytes, str]]:
    """Photos that must be refused, and what the reason says."""
    yield from _bad_colours()
    for kind in CODINGS:
        yield from _bad_images(kind)
        yield from _bad_grids(kind)


def _bad_colours() -> Iterator[tuple[str, bytes, str]]:
    for matrix in (3, 10, 11, 13, 14, 16, 17, 199, 255):
        for chroma in ("4:2:0", "4:4:4"):
            one = image("AVIF", SIZE, nclx(matrix), subsampling=chroma)
            yield f"AVIF: matrix {matrix}, {chroma}", file("AVIF", {1: one}), f"be converted ({matrix})"
    yield "AVIF: RGB in 4:2:0", file("AVIF", {1: image("AVIF", SIZE, nclx(0))}), "be converted (0)"
    limited = image("AVIF", SIZE, nclx(8, full_range=False))
    yield "AVIF: YCgCo of limited range", file("AVIF", {1: limited}), "be converted (8)"
    small, pair = image("AVIF", (128, 96), ALPHA), [("auxl", 2, (1,))]
    yield "AVIF: alpha of another size", file("AVIF", {1: image("AVIF", SIZE), 2: small}, pair), "alpha channel"


def _bad_images(kind: str) -> Iterator[tuple[str, bytes, str]]:
    whole, other = image(kind, SIZE), coded(kind, (512, 384))
    config = whole.properties[0]
    for size in ((80, 64), (320, 256)):
        lying = file(kind, {1: image(kind, SIZE, says=size)})
        yield f"{kind}: {size} instead of {SIZE}", lying, "coded as 160x128"
    two = Item(whole.kind, whole.data, (other[0], *whole.properties))
    yield f"{kind}: two decoder configurations", file(kind, {1: two}), "decoder configuration"
    for name, data in (("half", whole.data[: len(whole.data) // 2]), ("zeros", bytes(len(whole.data)))):
        yield f"{kind}: {name}", file(kind, {1: Item(whole.kind, data, whole.properties)}), "coded data is damaged"
    yield f"{kind}: twice", file(kind, {1: Item(whole.kind, whole.data * 2, whole.properties)}), "is damaged"
    sizes = Item(whole.kind, whole.data, (config, ispe(*SIZE), ispe(80, 64)))
    yield f"{kind}: two sizes", file(kind, {1: sizes}), "without a size, or with two"
    broken = Item(whole.kind, whole.data[:20], (*whole.properties, ALPHA))
    yield f"{kind}: a broken alpha channel", file(kind, {1: whole, 2: broken}, [("auxl", 2, (1,))]), "is damaged"
    clap = box(b"clap", struct.pack(">8i", 20, 1, 20, 1, 200, 1, 0, 1))
    yield f"{kind}: clean aperture outside", file(kind, {1: image(kind, SIZE, clap)}), "shows nothing"


def _bad_grids(kind: str) -> Iterator[tuple[str, bytes, str]]:
    tile = image(kind)
    for name, changes, reason in (
        ("no canvas", {"spec": spec(size=(0, 0))}, "of another size"),
        ("another size than its own", {"says": (100, 80), "spec": spec()}, "of another size"),
        ("more than its tiles", {"size": (162, 128)}, "do not fill"),
        ("too few tiles", {"spec": spec(3, 2)}, "do not fill"),
        ("cut off", {"spec": spec()[:5]}, "cannot be read"),
        ("another version", {"spec": b"\1" + spec()[1:]}, "cannot be read"),
    ):
        yield f"{kind}: grid of {name}", file(kind, grid(kind, **changes), FOUR), reason
    for name, last, reason in (
        ("without data", Item(tile.kind, b"", tile.properties), "without data"),
        ("without a configuration", Item(tile.kind, tile.data, tile.properties[1:]), "decoder configuration"),
        ("cut off", Item(tile.kind, tile.data[: len(tile.data) // 2], tile.properties), "is damaged"),
        ("that is no image", Item(b"mime", b"x\0y\0"), "of another kind"),
        ("of another size", image(kind, (80, 80)), "tiles that differ"),
        ("that lies about its size", image(kind, (80, 80), says=TILE), "coded as 80x80"),
        ("that is turned", image(kind, TILE, box(b"irot", b"\2")), "turns a tile"),
    ):
        yield f"{kind}: tile {name}", file(kind, grid(kind, tiles=[tile, tile, tile, last]), FOUR), reason
    missing = [("dimg", 1, (2, 3, 4, 77))]
    yield f"{kind}: tile that is not there", file(kind, grid(kind), missing), "of another kind"
    alpha = {**grid(kind), 6: image(kind, TILE, ALPHA)}
    yield f"{kind}: tiles with and without alpha", file(kind, alpha, [*FOUR, ("auxl", 6, (2,))]), "tiles that differ"
    nested = {**grid(kind), 9: Item(b"grid", spec(1, 1), (ispe(*SIZE),))}
    yield f"{kind}: grid of a grid", file(kind, nested, [*FOUR, ("dimg", 9, (1,))], primary=9), "in grid coding"
