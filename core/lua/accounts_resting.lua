-- ARGV: -, engine, first rest and a probe's time in seconds. Returns for how many seconds it is not to be used. Of
-- those who ask after a rest, one is told 0 and tries the engine; the others wait for how that ends.
local breaker = key('breaker:' .. ARGV[2])
local found = redis.call('HMGET', breaker, 'till', 'probed')
if not found[1] then return '0' end
local left = tonumber(found[1]) - now
if left > 0 then return string.format('%.3f', left) end
local probe = tonumber(found[2] or '0') - now
if probe > 0 then return string.format('%.3f', math.max(0.001, math.min(probe, tonumber(ARGV[3])))) end
redis.call('HSET', breaker, 'probed', string.format('%.3f', now + tonumber(ARGV[4])))
redis.call('EXPIRE', breaker, FORGOTTEN)
return '0'
