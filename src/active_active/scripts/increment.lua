-- Counts in a field that this run of the server may count in.
-- KEYS: counter. ARGV: the run ID that the field was chosen for, the field, the amount.
-- Answers: {'counted'} or {'run', the server's run ID}.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
if run ~= ARGV[1] then return {'run', run} end
redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3])
return {'counted'}
