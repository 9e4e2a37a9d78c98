"""`lb/placement/fleet.py` over arrays: which node gets a request, by the ring's own table and its own bound.

Health, membership and slow start are the real `Fleet`'s: its ranks are copied into `open`, `resort` and `ramp` when
they change. Here is only what each of ten million requests needs. `tests/unit/bench/simulation/test_placing.py` asks
both, request by request.
"""

from lb.placement.refusals import POSITIONS
from lb.placement.slots import MEMBERS_MAX

from . import rules
from .rules import compiled, wide
from .world import BOUND_FLOOR, BOUND_PERCENT, NOBODY, OPEN, RAMPING, REQUEST_BYTES, SALT, SPILLS, WEIGHT, World

STARTED, PREFERRED, RESORT = range(3)
_MIX_1, _MIX_2, _32 = 0x7FEB352D, 0x846CA68B, 0xFFFFFFFF


@compiled
def mixed(word: int) -> int:
    """`slots._mixed` of one word."""
    word = int(word)
    word ^= word >> 16
    word = word * _MIX_1 & _32
    word ^= word >> 15
    word = word * _MIX_2 & _32
    return word ^ word >> 16


@compiled
def fill_order(w: World, slot: int, most: int) -> None:
    """The first nodes of the slot's order, at most so many, as `Scoring.order` has them, into `w.order`."""
    order = w.order
    word = mixed((mixed(int(slot) ^ w.counts[SALT]) + w.counts[SALT + 1]) & _32)
    filled = 0
    for n in range(len(order)):
        hashed = word * int(w.nodes[n].factor) & _32
        hashed ^= hashed >> 15
        hashed = hashed * _MIX_2 & _32
        hashed ^= hashed >> 16
        score = w.scores[0, hashed >> 16] + ((hashed & 0xFFFF) << 10) + n
        if filled == most and score >= order[most - 1]:
            continue
        at = min(filled, most - 1)
        while at and order[at - 1] > score:
            order[at] = order[at - 1]
            at -= 1
        order[at] = score
        filled = min(filled + 1, most)
    for n in range(filled):
        order[n] &= MEMBERS_MAX


@compiled
def in_order(w: World, slot: int, number: int) -> int:
    """The node at this place of the slot's order: of the first two from the table, of others after `fill_order`."""
    return wide(w.table[slot, number]) if number < 2 else wide(w.order[number])


@compiled
def refuses(w: World, slot: int, refused: int, n: int) -> bool:
    """Whether the node stands at one of the places that refused."""
    number = 0
    while refused >> number:
        if refused >> number & 1 and number < len(w.order) and in_order(w, slot, number) == n:
            return True
        number += 1
    return False


@compiled
def avoidable(w: World, slot: int, refused: int) -> bool:
    """Whether a node that is preferred has not refused; `Fleet.place` else forgets the refusals."""
    if w.counts[OPEN] > POSITIONS:
        return True
    for n in range(len(w.order)):  # noqa: SIM110 - numba compiles no generators
        if w.nodes[n].open and not refuses(w, slot, refused, n):
            return True
    return False


@compiled
def usable_as(w: World, i: int, refused: int) -> int:
    """Which nodes are usable, as `Fleet._choose` decides."""
    slot, any_open, started = wide(w.users[i].slot), False, False
    if w.counts[OPEN] > POSITIONS and not w.counts[RAMPING]:
        return PREFERRED
    for n in range(len(w.order)):
        if w.nodes[n].open and not refuses(w, slot, refused, n):
            any_open = True
            started = started or w.users[i].turn < w.nodes[n].ramp
    if not any_open:
        return RESORT
    special = refused or w.counts[RAMPING]
    return STARTED if special and started else PREFERRED


@compiled
def usable(w: World, i: int, n: int, refused: int, mode: int) -> bool:
    """Whether the user's request may go to the node."""
    if refuses(w, wide(w.users[i].slot), refused, n):
        return False
    if mode == RESORT:
        return bool(w.nodes[n].resort)
    return bool(w.nodes[n].open and (mode == PREFERRED or w.users[i].turn < w.nodes[n].ramp))


@compiled
def choose(w: World, lb: int, i: int, load: int, refused: int) -> int:
    """The first usable node of the order under its cap, else the first usable one; NOBODY if none is."""
    slot, count = wide(w.users[i].slot), len(w.order)
    if refused >> 2:
        fill_order(w, slot, POSITIONS)
    mode = PREFERRED
    if refused or w.counts[RAMPING] or not w.nodes[w.table[slot, 0]].open:
        mode = usable_as(w, i, refused)
    bound = rules.Bound(int(w.numbers[BOUND_PERCENT]), int(w.numbers[BOUND_FLOOR]))
    first = NOBODY
    for number in range(count):
        if number == POSITIONS:
            fill_order(w, slot, count)
        elif number == 2 and not refused >> 2:
            fill_order(w, slot, POSITIONS)
        n = in_order(w, slot, number)
        if usable(w, i, n, refused, mode):
            if w.load[lb, n] < rules.cap(w.nodes[n].weight, load, w.counts[WEIGHT], bound):
                return n
            first = n if first == NOBODY else first
    return first


@compiled
def place(w: World, lb: int, i: int) -> int:
    """The node for the user's request at this balancer; NOBODY when none can take it."""
    users = w.users
    slot, refused = wide(users[i].slot), wide(users[i].refused)
    load = w.lbs[lb].load + max(wide(users[i].bytes), wide(w.numbers[REQUEST_BYTES]))
    if refused >> 2:
        fill_order(w, slot, POSITIONS)
    if refused and not avoidable(w, slot, refused):
        refused = 0
    home = wide(w.table[slot, 0])
    if not refused and w.nodes[home].open and users[i].turn < w.nodes[home].ramp:
        bound = rules.Bound(int(w.numbers[BOUND_PERCENT]), int(w.numbers[BOUND_FLOOR]))
        if w.load[lb, home] < rules.cap(w.nodes[home].weight, load, w.counts[WEIGHT], bound):
            return home
        n = choose(w, lb, i, load, refused)
        w.counts[SPILLS] += n != home
        return n
    return choose(w, lb, i, load, refused)


@compiled
def note_refusal(w: World, i: int, n: int) -> None:
    """Add the node to the places that refused the user; forget them when all preferred nodes have refused."""
    users, slot, count = w.users, wide(w.users[i].slot), len(w.order)
    refused, number = wide(users[i].refused), NOBODY
    for place_number in range(min(POSITIONS, count)):
        if place_number == 2:
            fill_order(w, slot, POSITIONS)
        if in_order(w, slot, place_number) == n:
            number = place_number
            break
    if number == NOBODY:
        return
    if refused >> 2 and number < 2:
        fill_order(w, slot, POSITIONS)
    refused |= 1 << number
    users[i].refused = refused if avoidable(w, slot, refused) else 0


@compiled
def take(w: World, lb: int, n: int, size: int, sign: int) -> None:
    """Count a request of so many bytes at the node (1), or that it has left (-1)."""
    load = sign * max(size, int(w.numbers[REQUEST_BYTES]))
    w.load[lb, n] += load
    w.lbs[lb].load += load
