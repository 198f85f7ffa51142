-- ARGV: -, engine, failures in a row, within how many seconds, first and longest rest in seconds. Returns for how
-- long the engine rests because of this failure, '0' if it does not.
local breaker, failures = key('breaker:' .. ARGV[2]), key('failures:' .. ARGV[2])
local found = redis.call('HMGET', breaker, 'till', 'rest')
local rest = tonumber(ARGV[5])
if found[1] then
  if now < tonumber(found[1]) then return '0' end -- begun before the rest
  rest = math.min(2 * tonumber(found[2]), tonumber(ARGV[6]))
else
  redis.call('LPUSH', failures, string.format('%.3f', now))
  redis.call('LTRIM', failures, 0, tonumber(ARGV[3]) - 1)
  redis.call('EXPIRE', failures, FORGOTTEN)
  local first = redis.call('LINDEX', failures, tonumber(ARGV[3]) - 1)
  if not first or now - tonumber(first) > tonumber(ARGV[4]) then return '0' end
end
redis.call('HSET', breaker, 'till', string.format('%.3f', now + rest), 'rest', tostring(rest), 'probed', '0')
redis.call('EXPIRE', breaker, FORGOTTEN)
return tostring(rest)
