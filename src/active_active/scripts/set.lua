-- Writes a new version of a key and queues it for the other site, both or neither.
-- KEYS: key, queue, where an overflow of the queue is noted. ARGV: the envelope up to its timestamp, the datacenter as JSON,
-- the version up to its timestamp, what follows the version, how long it lives in ms or '', the key as
-- JSON, the longest queue.
-- Answers: {'queued' or 'overflow' or 'malformed', the envelope or what is stored, this server's time as text}.

-- As Python's repr: the fewest digits that read back.
local function number_text(number)
  local text
  for digits = 15, 17 do
    text = string.format('%.' .. digits .. 'g', number)
    if tonumber(text) == number then break end
  end
  if not string.find(text, '[.e]') then text = text .. '.0' end
  return text
end

local stored = redis.call('GET', KEYS[1])
local now = server_time()
local stamp = now
if stored then
  local stored_stamp = version(stored)
  if not stored_stamp then return {'malformed', stored, number_text(now)} end
  if stored_stamp >= stamp then
    -- The next number after the stored one.
    local _, exponent = math.frexp(stored_stamp)
    stamp = stored_stamp + math.ldexp(1, exponent - 53)
  end
end
if stamp >= 1e15 then return {'malformed', stored or '', number_text(now)} end

local text = number_text(stamp)
local tail, expires = ARGV[4], nil
if ARGV[5] ~= '' then
  expires = math.floor(now * 1000) + tonumber(ARGV[5])
  tail = tail .. ', "expires_at": ' .. number_text(expires / 1000)
end
local envelope = ARGV[1] .. text .. ', "dc": ' .. ARGV[2] .. ', "version": ' .. ARGV[3] .. text .. '"' .. tail .. '}'

-- The queue first: where it is no list, this fails and nothing was written.
local outcome = 'queued'
if redis.call('LLEN', KEYS[2]) < tonumber(ARGV[7]) then
  redis.call('LPUSH', KEYS[2], '{"key": ' .. ARGV[6] .. ', "data": ' .. envelope .. '}')
else
  redis.call('SET', KEYS[3], string.format('%.0f', now), 'NX')
  outcome = 'overflow'
end
redis.call('SET', KEYS[1], envelope)
if expires then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires)) end
return {outcome, envelope, number_text(now)}
