-- Raises each field to the given value where it has less, and never lowers one. Decimal strings are compared as such: Lua's
-- numbers end at 2^53, its `<` follows the server's locale.
-- KEYS: counter. ARGV: pairs of a field and its value. Answers: all fields afterwards, as HGETALL.
local function is_decimal(text)
  return text == '0' or string.find(text, '^[1-9][0-9]*$') ~= nil
end

local function is_greater(a, b)
  if #a ~= #b then return #a > #b end
  for i = 1, #a do
    local difference = string.byte(a, i) - string.byte(b, i)
    if difference ~= 0 then return difference > 0 end
  end
  return false
end

for i = 1, #ARGV, 2 do
  local stored = redis.call('HGET', KEYS[1], ARGV[i])
  if not stored or (is_decimal(stored) and is_greater(ARGV[i + 1], stored)) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return redis.call('HGETALL', KEYS[1])
