"""The reign of a Redis: as long as it lasts, nothing that was written to the index can be missing there."""

# `reign()` is what Redis knows of it, `mark(term)` what is stored, `lasts(mark, term)` whether that is still good.
# A reign ends when Redis restarts, when another server is promoted, and when a server with other data joins as a
# replica: such a server was a primary too, and what only it had, posts and counts among them, is lost when it joins.
# Redis counts these joins as full resynchronizations; a replica that has merely lost its connection needs none.
# It also ends when Redis refuses a command because of its own state (out of memory, no disk, too few replicas, busy):
# it may have been a report to the index. Redis counts such answers, whoever got them. Refusals because of a user's
# rights are not counted here: a monitoring program that may not do everything would end the reign again and again.
# A primary that was cut off, replaced, and named again before it became a replica shows none of this: only the
# Sentinels know that another one took writes meanwhile. Their number of the last failover (`config-epoch`, here the
# *term*) is part of a mark, and a mark of an earlier term than the reader's is not believed. A writer reads the term
# before it writes the mark, so a mark never claims a later term than that of the data it covers. Without Sentinels the
# term is 0. How long a record is believed, which a refused command does not end, is in trust.py.
REIGN = """
local function reign()
  local said, refused = '', 0
  for _, section in ipairs({'server', 'replication', 'stats', 'errorstats'}) do
    said = said..redis.call('INFO', section)
  end
  for _, code in ipairs({'OOM', 'MISCONF', 'NOREPLICAS', 'BUSY'}) do
    refused = refused + (string.match(said, 'errorstat_'..code..':count=(%d+)') or 0)
  end
  return string.match(said, 'run_id:(%x+)')..':'..string.match(said, 'master_replid:(%x+)')..':'..
    string.match(said, 'sync_full:(%d+)')..':'..refused..':'..string.match(said, 'role:(%l+)')
end
local function mark(term) return reign()..'@'..term end
local function lasts(mark, term)
  local was, when = string.match(mark or '', '^(.*)@(%d+)$')
  return was == reign() and tonumber(when) >= tonumber(term)
end
"""
