"""One request: finds it a node, passes its body there and the answer back, and says the honest thing when that fails.

A request of which nothing was sent goes on to the next node of its key; `replay.py` says what else may be sent again.
An early answer (before the body is complete) is relayed at once. If it is a refusal or ends the node's connection,
the body is no longer forwarded. Bytes are only counted here and handed from one transport to the other.
"""

from typing import TYPE_CHECKING

from . import forward
from .access import Seen
from .errors import PROBLEMS, problem
from .policy import Refuse
from .replay import replayable, stored
from .tickets import stamped

if TYPE_CHECKING:
    from .fleet import Node
    from .head import RequestHead, ResponseHead
    from .link import Link
    from .ports import Speaker
    from .proxy import Proxy

# A head and what is there of its body leave by one system call: joined, or from where they lie once a copy costs more.
BODILESS = frozenset({204, 304})
JOINED_BYTES_MAX = 32768


class Exchange:
    """A request under way; `link` is None while a node is being found.

    What most requests never change stands in the class, so that beginning one sets little.
    """

    link: "Link | None" = None
    request_done = over = False
    received = sent = relayed = status = 0
    _node: "Node | None" = None
    _stopped = _timed_out = _keep_alive = False

    def __init__(self, proxy: "Proxy", client: "Speaker", head: "RequestHead") -> None:
        self._proxy = proxy
        self._client = client
        self._head = head
        origin = proxy.origin(head, client) if head.claims else client.origin
        self._refused = origin.refused
        self._key = proxy.keyer(head, origin.client)
        begun = self._begun = proxy.clock()
        self._size = head.length or 0
        self._attempts: list[Node] = []
        self._held: list[bytes | memoryview] = []
        self.request_id = head.request_id or proxy.new_id()
        self._raw = forward.request_head(head, origin, proxy.lag.came_ms(client.transport, begun), self.request_id)
        self.uploaded = 0.0  # when the body was complete, on the loop's clock
        self.bodiless = head.method == b"HEAD"
        self.plain = head.minor == 0
        self.awaits_continue = head.expects_continue
        self.wants_close = not head.keep_alive

    def __repr__(self) -> str:
        return f"<Exchange {self.request_id.decode()} node={self._node} sent={self.sent} status={self.status}>"

    # Finding a node.

    def start(self) -> None:
        """Place the request, again after each node that cannot be reached."""
        proxy, attempts = self._proxy, self._attempts
        node = proxy.fleet.place(self._key, attempts, self._size, self._refused)
        if isinstance(node, Refuse) or not self._may_try():
            self.fail("gateway-timeout" if self._timed_out else "no-nodes")
            return
        if attempts:
            proxy.counters.retries += 1
        attempts.append(node)
        self._node = node
        proxy.fleet.acquire(node, self._size)
        link = proxy.pool.take(node)
        if link is None:
            self._client.hold()
            proxy.pool.connect(node, self)
        else:
            proxy.counters.pooled += 1
            self._use(link)
            if len(attempts) > 1 and link.taking:
                self._client.resume()  # Reading was stopped to connect to a node that could not be reached.

    def _may_try(self) -> bool:
        """The first node always; a further one within the number for each request and the budget of all."""
        tried = len(self._attempts)
        return not tried or (tried <= self._proxy.config.retries_max and self._proxy.fleet.may_retry())

    def link_made(self, link: "Link") -> None:
        """The connection asked for is there, perhaps too late."""
        if self.over:
            link.reusable = True
            self._proxy.pool.put(link)
            return
        self._use(link)
        if link.taking:
            self._client.resume()

    def link_failed(self, node: "Node", *, timed_out: bool) -> None:
        """The node cannot be reached; nothing was sent, so another one may serve."""
        if self.over:
            return
        self._timed_out = self._timed_out or timed_out
        self._leave(node)
        self.start()

    def _use(self, link: "Link") -> None:
        self.link = link
        link.begin(self)
        if held := self._held:
            self._held = []
            size = sum(map(len, held))
            self.sent += size
            if size <= JOINED_BYTES_MAX:
                link.transport.write(b"".join((self._raw, *held)))
            else:
                link.transport.writelines((self._raw, *held))
        else:
            link.transport.write(self._raw)

    def _leave(self, node: "Node") -> None:
        self._proxy.fleet.release(node, self._size)
        self._node = self.link = None

    # The request's body.

    def send(self, data: bytes | memoryview) -> None:
        """A framed piece of the body, in order; a view is good until the caller's read is over, see `keep`."""
        if self._stopped:
            return
        if self.link is None:
            self._held.append(data)
        else:
            self.sent += len(data)
            self.link.transport.write(data)

    def keep(self) -> None:
        """What waits for a link must outlive the buffer that it was read into."""
        self._held = [bytes(data) for data in self._held]

    def hold_body(self) -> None:
        """The node takes no more for now."""
        self._client.hold()

    def resume_body(self) -> None:
        """The node takes bytes again."""
        self._client.resume()

    # The answer.

    def interim(self, head: "ResponseHead") -> None:
        """100 Continue and its like pass, except to HTTP/1.0, which has none, or once the client was answered."""
        self.awaits_continue = False
        if not self.plain:
            self._client.write(forward.interim_head(head))

    def answered(self, head: "ResponseHead", data: bytes | memoryview, *, bounded: bool) -> None:
        """Relay the final head with what came of its body, and stop forwarding when the node has refused the body."""
        self.status = status = head.status
        early, full = not self.request_done, False
        if status >= 500:
            full = status == 503 and not head.cause and head.bears(b"retry-after")
            head = stamped(head, self._ticket(status))
        if self._node is not None:
            self._proxy.fleet.answered(self._node, self._key, status, self._proxy.loop.time() - self._begun, full=full)
        chunked = head.chunked and not self.plain
        self._keep_alive = keep_alive = (
            bounded and not (early or self.wants_close or self._proxy.draining) and chunked == head.chunked
        )
        raw = forward.response_head(
            head,
            request_id=self.request_id,
            minor=self._head.minor,
            keep_alive=keep_alive,
            chunked=chunked,
            bodiless=self.bodiless or status in BODILESS,
        )
        self.relayed += len(data)
        self._client.write(raw + data)
        if early and (head.status >= 300 or not head.keep_alive):
            self._stopped = True
            self._client.refused()

    def answer_data(self, data: bytes | memoryview) -> None:
        """Relay a piece."""
        self.relayed += len(data)
        self._client.write(data)

    def answer_done(self) -> None:
        """The link is free again, unless part of the request was still to come on it."""
        link = self.link
        if link is None:
            return
        if not self.request_done:
            link.reusable = False
            if not self._stopped:
                self._stopped = True
                self._client.refused()
        self._close()
        self._proxy.pool.put(link)
        self._client.finished(keep_alive=self._keep_alive)

    # Failing.

    def link_lost(self, reason: str) -> None:
        """The node ended the connection without a complete answer."""
        link, node = self.link, self._node
        if link is None or node is None:
            return
        link.close()
        self._proxy.counters.lost += 1
        again = not self.status and not reason.startswith("invalid")
        again = again and replayable(
            self._head.method, reused=link.used > 1, body_sent=self.sent > 0, request_done=self.request_done
        )
        if not again:
            self._proxy.fleet.lost(node, self._key, self._proxy.loop.time())
        if self.status:
            self._close()
            self._client.broken()
        elif again:
            self._proxy.fleet.doubt(node)
            self._leave(node)
            # The node may be well and only have closed an idle link: it may be tried again.
            self._attempts.remove(node)
            self._proxy.counters.retries += 1
            self._client.resume()
            self.start()
        else:
            self.fail("bad-gateway", reason[:1].upper() + reason[1:] + ".")

    def fail(self, code: str, detail: str = "") -> None:
        """Answer with a problem of ours; once an answer has begun there is only breaking it off."""
        if self.over:
            return
        kept = stored(self._head.method, sent=self.link is not None)
        self._abandon()
        if self.status:
            self._close()
            self._client.broken()
            return
        self.status = PROBLEMS[code].status
        keep_alive = self.request_done and not self.wants_close and not self._proxy.draining
        answer = problem(
            code,
            self.request_id,
            detail=detail,
            stored=kept,
            retry_after_s=self._proxy.retry_after_s(),
            ticket=self._ticket(self.status),
            close=not keep_alive,
            bodiless=self.bodiless,
        )
        self._stopped = True
        self._close()
        self._client.write(answer)
        if not self.request_done:
            self._client.refused()
        self._client.finished(keep_alive=keep_alive)

    def client_left(self) -> None:
        """Nobody waits for the answer any more."""
        if not self.over:
            self._abandon()
            self.status = 0
            self._close()

    def _seen(self, unix_us: int, seconds: float) -> Seen:
        head, node = self._head, self._node.member.id if self._node else ""
        return Seen(
            *(unix_us, self.request_id, self._client.address, self._key, head.method, head.target),
            *(-1 if head.length is None else head.length, self.received, self.relayed, self.status),
            *(node, seconds, (self.uploaded or seconds + self._begun) - self._begun),
        )

    def _ticket(self, status: int) -> bytes:
        return self._proxy.ticket(self._head, status, self._raw, key=self._key, node=self._node, refused=self._refused)

    def _abandon(self) -> None:
        """Break off the link: part of a request is on it."""
        if self.link is not None:
            self.link.close()

    def _close(self) -> None:
        """Count it and leave the node."""
        self.over = True
        proxy, counters = self._proxy, self._proxy.counters
        counters.bytes_in += self.received
        counters.bytes_out += self.relayed
        seconds = proxy.clock() - self._begun
        counters.finished(self.status, seconds)
        if proxy.note:
            proxy.note(self._seen(proxy.unix_us(seconds), seconds))
        node = self._node
        if node is not None:
            proxy.fleet.release(node, self._size)
            self._node = self.link = None
