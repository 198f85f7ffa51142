-- ARGV: -, account, seconds. A pause is never shortened by another one.
local paused = key('paused:' .. ARGV[2])
local till = math.max(now + tonumber(ARGV[3]), tonumber(redis.call('GET', paused) or '0'))
redis.call('SET', paused, string.format('%.3f', till), 'EX', math.ceil(till - now) + 1)
return 1
