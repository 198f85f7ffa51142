-- ARGV: -, engine. Who tried it after its rest did not find out how it does, so the next one who asks may try.
local breaker = key('breaker:' .. ARGV[2])
if redis.call('EXISTS', breaker) == 1 then redis.call('HSET', breaker, 'probed', '0') end
return 1
