-- Writes an envelope unless the stored one is the same or newer.
-- KEYS: key. ARGV: envelope, its timestamp as text, its datacenter, how many seconds it may be ahead of this
-- server, how many seconds old it may be where the key is missing, when it expires in ms or ''.
-- Answers: {what became of it, the stored envelope where that decided}.
local stored = redis.call('GET', KEYS[1])
if stored == ARGV[1] then return {'same'} end
local stamp = tonumber(ARGV[2])
local now = server_time()
local is_future = stamp > now + tonumber(ARGV[4])
if not stored then
  if is_future then return {'future'} end
  if stamp < now - tonumber(ARGV[5]) then return {'expired_tombstone'} end
end
local outcome = 'applied'
if stored then
  local stored_stamp, stored_dc = version(stored)
  if not stored_stamp then return {'malformed', stored} end
  local newer = 0
  if stamp > stored_stamp then newer = 1 elseif stamp < stored_stamp then newer = -1 end
  if newer == 0 then newer = compare_bytes(ARGV[3], stored_dc) end
  if newer == 0 then
    outcome = 'applied_tie'
    newer = compare_bytes(ARGV[1], stored)
    if newer < 0 then return {'older_tie', stored} end
  end
  if newer < 0 then return {'older', stored} end
  -- A key that is there already has to be able to move on.
  if is_future and stored_stamp <= now + tonumber(ARGV[4]) then return {'future'} end
end
redis.call('SET', KEYS[1], ARGV[1])
if ARGV[6] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[6]) end
return {outcome}
