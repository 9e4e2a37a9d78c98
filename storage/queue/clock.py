"""A clock for the scripts on one Redis that neither goes back nor leaps: for the order of times, not for the hour.

Redis' TIME is its machine's: set back by ten minutes, every job would be due ten minutes late; set forward, every lease
would have ended. So time passes here as far as TIME moves on between two scripts that ask for it, at most `STEP_MS_MAX`
a step, and never back. A Redis that hung, was down, or whose replica took over with another clock takes one such step
too: while nobody could extend a lease, none runs out. Workers and the autoscaler ask more often than that, so time
goes on while there is anybody to wait. An empty Redis begins with TIME.
"""

from ..keys import CLOCK_KEY

# Well above the autoscaler's period and the time between beats, well below a lease.
STEP_MS_MAX = 2000
# Written this often and no more, so that idle workers that ask for jobs cost no disk; time may go back by less.
_TICK_MS = 100

# A script that begins with this line is refused at once by a Redis (from 7.0) that takes no writes, even where it would
# find nothing to write: else a worker would wait at a demoted primary for ever. Without memory it runs: it frees some.
WRITES = "#!lua flags=allow-oom"

# Gives a script the local `now`, in milliseconds.
CLOCK = f"""
local time, clock = redis.call('TIME'), redis.call('HMGET', '{CLOCK_KEY}', 'machine', 'now')
local machine = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(clock[1]) or machine
local now = (tonumber(clock[2]) or machine) + math.min(math.max(machine - last, 0), {STEP_MS_MAX})
if not clock[1] or machine < last or machine - last >= {_TICK_MS} then
  redis.call('HSET', '{CLOCK_KEY}', 'machine', string.format('%.0f', machine), 'now', string.format('%.0f', now))
end
"""
