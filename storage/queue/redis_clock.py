"""A clock for the scripts on one Redis that never goes back and never jumps: for ordering, not for the time of day.

Redis' TIME is the clock of its machine. If that clock were set back by ten minutes, every job would be due ten minutes
late; if it were set forward, every lease would end at once. So this clock advances by as much as TIME did between two
scripts that read it, at most `STEP_MS_MAX` a step, and never goes back. If Redis hung or was down, or a replica with
another clock was promoted, the clock also advances by one such step: leases do not end while no worker can extend them.
Workers and the autoscaler read the clock more often than that, so it keeps running while any of them does. An empty
Redis starts with TIME, and so does one whose clock cannot be read.
"""

from ..keys import CLOCK_KEY

# Well above the autoscaler's period and the time between heartbeats, well below a lease.
STEP_MS_MAX = 2000
# The clock is stored at most this often, because each write costs; it may go back by less.
_TICK_MS = 500
# The year 5138: no clock shows it, and scores up to it are exact.
_NEVER_MS = 10**14

# A Redis (from 7.0) that takes no writes refuses a script with this line at once, even if the script would find nothing
# to write. Without the line a worker would poll a demoted primary forever. `allow-oom`: the script also runs when Redis
# is out of memory, because it frees some.
WRITES = "#!lua flags=allow-oom"

# Defines the local variable `now`, in milliseconds.
CLOCK = f"""
local time, clock = redis.call('TIME'), call('HMGET', '{CLOCK_KEY}', 'machine', 'now')
local machine = time[1] * 1000 + math.floor(time[2] / 1000)
local function time_in(text)
  local ms = tonumber(text)
  return ms and ms > 0 and ms < {_NEVER_MS} and ms
end
local last = time_in(clock[1]) or machine
local now = (time_in(clock[2]) or machine) + math.min(math.max(machine - last, 0), {STEP_MS_MAX})
if last == machine or machine < last or machine - last >= {_TICK_MS} then
  call('HSET', '{CLOCK_KEY}', 'machine', string.format('%.0f', machine), 'now', string.format('%.0f', now))
end
"""
