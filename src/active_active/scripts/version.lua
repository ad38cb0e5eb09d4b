-- The rule of active_active/envelope.rs; tests/active_active/differential.rs compares the two. Shared by apply.lua and
-- set.lua.

-- The stamp and the datacenter of an envelope; nil for everything else.
local function version(text)
  -- cjson would ignore what follows a NUL.
  if string.find(text, '\0', 1, true) then return nil end
  local ok, fields = pcall(cjson.decode, text)
  if not ok or type(fields) ~= 'table' or fields.value == nil then return nil end
  local stamp, dc = fields.timestamp, fields.dc
  if type(stamp) ~= 'number' or type(dc) ~= 'string' then return nil end
  -- Not a number fails both comparisons.
  if not (stamp > -1e15 and stamp < 1e15) then return nil end
  return stamp, dc
end

-- Below, at or above zero as a is less than, equal to or greater than b, byte by byte: `<` would
-- compare as the server's locale does.
local function compare_bytes(a, b)
  for i = 1, math.min(#a, #b) do
    local difference = string.byte(a, i) - string.byte(b, i)
    if difference ~= 0 then return difference end
  end
  return #a - #b
end

-- Seconds since the epoch on this server's clock.
local function server_time()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
