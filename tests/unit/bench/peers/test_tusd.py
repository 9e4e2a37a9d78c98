"""bench.peers.tusd: the request that the protocol asks for."""

from bench.peers import tusd


def test_a_photo_is_one_request() -> None:
    """Creation with upload: the length once as the upload's, once as the body's."""
    head = tusd.head("user-1", 12345)

    assert head.startswith(b"POST /files/ HTTP/1.1\r\n")
    assert b"\r\nUpload-Length: 12345\r\n" in head
    assert b"\r\nContent-Length: 12345\r\n" in head
    assert head.endswith(b"\r\n\r\n")
