"""One request: places it at a node, passes its body there and the answer back, and reports a failure truthfully.

A request of which nothing was sent goes to the next node of its key; `resend.py` says what else may be sent again.
While a request is on a link, only its exchange uses the link; then the link goes back to the pool. Pressure passes
through here both ways: a node that takes no bytes pauses the client, a client that reads no bytes pauses the node.
"""

from ..http1 import forward
from ..http1.begun import begun_in
from ..http1.body import JOINED_BYTES_MAX, Piece
from ..http1.errors import PROBLEMS, problem
from ..http1.head import RequestHead, ResponseHead
from ..http1.tickets import with_ticket
from ..placement.node import Node
from ..placement.policy import Refuse
from .access import RequestRecord
from .context import Context
from .link import NO_BODY, Link
from .pace import Pace
from .ports import Downstream
from .resend import STORING, resendable, stored


class Exchange:
    """A request in progress; `_link` is None while the exchange looks for a node."""

    # Values that most requests never change stand in the class, so that a new exchange sets few attributes.
    request_done = over = False
    received = sent = relayed = status = 0
    _link: Link | None = None
    _node: Node | None = None
    pace: Pace | None = None  # Of the body, once the request has lasted for a check.
    _forwarding_stopped = _timed_out = _keep_alive = _heard = False

    def __init__(self, context: Context, client: Downstream, head: RequestHead) -> None:
        self._context = context
        self._client = client
        self._head = head
        origin = context.origin(head, client) if head.balancer_fields else client.origin
        self._refused = origin.refused
        self._user, self._key = context.keys(head, origin.client)
        self._begun = context.clock()
        self._size = head.length or 0
        self._attempts: list[Node] = []
        self._unsent: list[Piece] = []  # Pieces of the body that wait for a link.
        self.request_id = (client.trusted and head.request_id) or context.new_id()
        # The first balancer's time where it is known: tickets repeat it, and lateness depends on it.
        self._received_ms = origin.received_ms or context.lag.arrived_ms(client.transport, self._begun)
        self._raw = context.request_head(head, origin, self._received_ms, self.request_id)
        self.uploaded = 0.0  # When the body was complete, on the loop's clock.
        self.bodiless = head.method == b"HEAD"
        self.http_1_0 = head.minor == 0
        self.awaits_continue = head.expects_continue
        self.wants_close = not head.keep_alive

    def __repr__(self) -> str:
        return f"<Exchange {self.request_id.decode()} node={self._node} sent={self.sent} status={self.status}>"

    # Finding a node.

    def start(self) -> None:
        """Choose a node and send it the request; called again after each node that cannot be reached."""
        context, attempts, target = self._context, self._attempts, self._head.target
        node = (
            target.startswith(context.holder_starts) and context.holders.find(target, attempts, late=self._timed_out)
        ) or context.fleet.place(self._key, attempts, self._size, self._refused, shared=self._key != self._user)
        if isinstance(node, Refuse) or not context.may_try(len(attempts)):
            self.fail("gateway-timeout" if self._timed_out else "no-nodes")
            return
        if attempts:
            context.counters.retries += 1
        attempts.append(node)
        self._node = node
        context.fleet.acquire(node, self._size)
        link = context.pool.take(node)
        if link is None:
            # Nothing takes the body until the connection is made: at most one read of it is kept.
            self._client.pause_body()
            context.pool.connect(node, self)
        else:
            context.counters.pooled += 1
            self._use(link)
            if len(attempts) > 1 and link.taking:
                # Reading was paused to connect to the node before, which could not be reached.
                self._client.resume_body()

    def link_made(self, link: Link) -> None:
        """The pool made the connection."""
        if self.over:  # The client left meanwhile; the connection serves another request.
            link.reusable = True
            self._context.pool.put(link)
            return
        self._use(link)
        if link.taking:
            self._client.resume_body()

    def link_failed(self, node: Node, *, timed_out: bool) -> None:
        """The node cannot be reached; nothing was sent, so another node may serve the request."""
        if self.over:
            return
        self._timed_out = self._timed_out or timed_out
        self._leave(node)
        self.start()

    def _use(self, link: Link) -> None:
        self._link = link
        link.begin(self)
        if unsent := self._unsent:
            self._unsent = []
            size = sum(map(len, unsent))
            self.sent += size
            if size <= JOINED_BYTES_MAX:
                link.transport.write(b"".join((self._raw, *unsent)))
            else:
                link.transport.writelines((self._raw, *unsent))
        else:
            link.transport.write(self._raw)

    def _leave(self, node: Node) -> None:
        self._context.fleet.release(node, self._size)
        self._node = self._link = None

    # The request's body.

    def send(self, data: Piece | list[Piece]) -> None:
        """Send a framed piece of the body, or several; a view is valid until `release_views`."""
        if self._forwarding_stopped:
            return
        if self._link is None:
            self._unsent.extend(data if isinstance(data, list) else (data,))
        elif isinstance(data, list):
            self.sent += sum(map(len, data))
            self._link.transport.writelines(data)
        else:
            self.sent += len(data)
            self._link.transport.write(data)

    def release_views(self) -> None:
        """The shared buffer will be reused: copy what waits here, or lend it to a link that still writes from it."""
        if (link := self._link) is None:
            self._unsent = [bytes(data) for data in self._unsent]
        elif link.transport.get_write_buffer_size():
            self._context.tank.lend(link.transport)

    # Pressure.

    def pause_body(self) -> None:
        """The link's write buffer is full."""
        self._client.pause_body()

    def resume_body(self) -> None:
        """The link's write buffer has room."""
        self._client.resume_body()

    @property
    def takes_body(self) -> bool:
        """Whether a node takes bytes of the body now."""
        return self._link is not None and self._link.taking

    def pause_answer(self) -> None:
        """The client's write buffer is full."""
        if self._link is not None:
            self._link.pause_answer()

    def resume_answer(self) -> None:
        """The client's write buffer has room."""
        if self._link is not None:
            self._link.resume_answer()

    # The answer.

    def interim(self, head: ResponseHead) -> None:
        """Pass on a 1xx head; HTTP/1.0 has none. 104 (Upload Resumption Supported) promises what a ticket keeps."""
        self._heard = True
        self.awaits_continue = self.awaits_continue and head.status != 100
        if not self.http_1_0:
            if head.status == 104:
                head = with_ticket(head, self._context.early_ticket(self._head, self._received_ms, self._refused))
            self._client.write(forward.interim_head(head))

    def answered(self, head: ResponseHead, data: bytes | memoryview, *, bounded: bool) -> None:
        """Relay the final head and the first piece of its body.

        An answer before the end of the body (an early answer) is relayed at once. The body is forwarded no further when
        such an answer refuses it or ends the node's connection.
        """
        if head.status == 408 and (self.request_done or self.pace is None or not self.pace.slow):
            self.stalled()  # The client sent in time: what the node waited for was lost on the way to it.
            return
        self.status = status = head.status
        early, full = not self.request_done, False
        if status >= 500:
            # A full node says when to return; a faulty one names a cause or says nothing.
            full = status == 503 and not head.cause and head.bears(b"retry-after")
            head = with_ticket(head, self._ticket(status, begun_in(head)), relays=self._client.trusted)
        if self._node is not None:
            seconds = self._context.loop.time() - self._begun
            self._context.fleet.answered(self._node, self._user, status, seconds, full=full)
        # Keep the client's connection only when the answer shows its own end: an unbounded body, and one whose chunks
        # were removed for HTTP/1.0, end with the connection. After an early answer more of the body may come.
        chunked = head.chunked and not self.http_1_0
        self._keep_alive = keep_alive = (
            bounded and not (early or self.wants_close or self._context.draining) and chunked == head.chunked
        )
        raw = forward.response_head(
            head,
            request_id=self.request_id,
            minor=self._head.minor,
            keep_alive=keep_alive,
            chunked=chunked,
            bodiless=self.bodiless or status in NO_BODY,
        )
        self.relayed += len(data)
        self._client.write(raw + data)
        if early and (head.status >= 300 or not head.keep_alive):
            self._forwarding_stopped = True
            self._client.discard_body()

    def answer_data(self, data: bytes | memoryview) -> None:
        """Relay a piece of the body."""
        self.relayed += len(data)
        self._client.write(data)

    def answer_done(self) -> None:
        """Return the link to the pool and finish."""
        if (link := self._link) is None:
            return
        if not self.request_done:
            # The node answered before the end of the body: the rest must not reach it as a request of its own.
            link.reusable = False
            if not self._forwarding_stopped:
                self._forwarding_stopped = True
                self._client.discard_body()
        self._close()
        self._context.pool.put(link)
        self._client.finished(keep_alive=self._keep_alive)

    # Failing.

    def link_lost(self, reason: str) -> None:
        """The node ended the connection without a complete answer."""
        link, node = self._link, self._node
        if link is None or node is None:
            return
        link.close()
        self._context.counters.lost += 1
        # An invalid answer was produced by a request that reached the node: it is never sent again.
        again = not self.status and not reason.startswith("invalid")
        again = again and resendable(
            self._head.method, reused=link.used > 1, body_sent=self.sent > 0, acted=self.request_done or self._heard
        )
        if not again:
            self._context.fleet.lost(node, self._user, self._context.loop.time())
        if self.status:
            # Part of the answer was relayed: only a broken connection tells the client that it is incomplete.
            self._close()
            self._client.answer_broken()
        elif again:
            node.check_soon()
            self._leave(node)
            self._attempts.remove(node)  # It may be healthy and have closed an idle link only.
            self._context.counters.retries += 1
            self._client.resume_body()
            self.start()
        else:
            self.fail("bad-gateway", reason[:1].upper() + reason[1:] + ".")

    def stalled(self, *, over: bool = True) -> None:
        """The node gets or says nothing, for long: check it at once; `over`: for too long, so answer 504."""
        if self._link is not None:
            # Not a GET, which may be a long poll, nor an answer that has begun: its client may be the slow one.
            failed = self._head.method in STORING and self.received > 0 and not self.status
            self._context.fleet.stalled(self._link.node, self._user, failed=failed)
        if over:
            self.fail("gateway-timeout")

    def fail(self, code: str, detail: str = "") -> None:
        """Answer with a problem of the balancer's own; break the connection when an answer has begun."""
        if self.over:
            return
        # A link means that at least the head was written to the node.
        kept = stored(self._head.method, sent=self._link is not None, whole=self.request_done)
        if self._link is not None:
            self._link.close()  # Part of a request is on it, so that it can serve no other.
        if self.status:
            self._close()
            self._client.answer_broken()
            return
        self.status = PROBLEMS[code].status
        keep_alive = self.request_done and not self.wants_close and not self._context.draining
        answer = problem(
            code,
            self.request_id,
            detail=detail,
            stored=kept,
            retry_after_s=self._context.retry_after_s(),
            ticket=self._ticket(self.status),
            close=not keep_alive,
            bodiless=self.bodiless,
        )
        self._forwarding_stopped = True
        self._close()
        self._client.write(answer)
        if not self.request_done:
            self._client.discard_body()
        self._client.finished(keep_alive=keep_alive)

    def client_left(self) -> None:
        """The client ended its connection: nobody waits for the answer."""
        if not self.over:
            if self._link is not None:
                self._link.close()
            self.status = 0
            self._close()

    def _record(self, unix_us: int, seconds: float) -> RequestRecord:
        head = self._head
        return RequestRecord(
            unix_us=unix_us,
            request_id=self.request_id,
            label=head.request_id,
            client=self._client.address,
            user=self._user,
            method=head.method,
            target=head.target,
            length=-1 if head.length is None else head.length,
            received=self.received,
            relayed=self.relayed,
            status=self.status,
            node=self._node.member.id if self._node else "",
            seconds=seconds,
            upload_s=self.uploaded - self._begun if self.uploaded else seconds,
        )

    def _ticket(self, status: int, begun: bytes = b"") -> bytes:
        key, node, refused = self._key, self._node, self._refused
        return self._context.ticket(self._head, status, self._received_ms, begun, key=key, node=node, refused=refused)

    def _close(self) -> None:
        """Count the request, write its log row and release its load at the node."""
        self.over = True
        context, counters = self._context, self._context.counters
        counters.bytes_in += self.received
        counters.bytes_out += self.relayed
        seconds = context.clock() - self._begun
        counters.finished(self.status, seconds)
        if context.note:
            context.note(self._record(context.unix_us(seconds), seconds))
        if self._node is not None:
            self._leave(self._node)
