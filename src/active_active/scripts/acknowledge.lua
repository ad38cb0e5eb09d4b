-- Takes what was worked off from the queue's end, as far as it still stands there: another worker may have
-- taken some of it.
-- KEYS: queue, rejected. ARGV: pairs, the oldest first, of an item and of what is kept of it where it was rejected, or ''.
-- Answers: how many were taken.
local taken = 0
for i = 1, #ARGV, 2 do
  if redis.call('LINDEX', KEYS[1], -1) == ARGV[i] then
    if ARGV[i + 1] ~= '' then redis.call('LPUSH', KEYS[2], ARGV[i + 1]) end
    redis.call('RPOP', KEYS[1])
    taken = taken + 1
  end
end
return taken
