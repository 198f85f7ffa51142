-- ARGV: -, receipt, row of the month's table, milliseconds of audio, millionths of a dollar ('' if unknown). Books
-- once, whether the reservation still holds or expired.
local receipt, row, micros = ARGV[2], ARGV[3], tonumber(ARGV[5])
local r = cjson.decode(receipt)
if not redis.call('SET', key('settled:' .. r.id), 1, 'NX', 'EX', 7 * FORGOTTEN) then return 0 end
release(receipt)
if ARGV[4] == '0' then return 1 end
local costs, spent = key('costs:' .. r.month), key('spent:' .. r.month)
redis.call('HINCRBY', costs, row .. ' requests', 1)
redis.call('HINCRBY', costs, row .. ' milliseconds', ARGV[4])
redis.call('EXPIRE', costs, KEPT)
if micros then
  redis.call('HINCRBY', costs, row .. ' micros', micros)
  redis.call('HINCRBY', spent, 'all', micros)
  redis.call('HINCRBY', spent, 'of:' .. r.tenant, micros)
  redis.call('EXPIRE', spent, KEPT)
end
return 1
