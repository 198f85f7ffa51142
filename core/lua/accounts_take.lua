-- ARGV: -, account, token, places, requests a minute (0: any number), a minute's and a lease's length in seconds.
-- Returns '' with the place taken, else for how many seconds there is none; '0' if that is unknown.
local account, token, rate, minute = ARGV[2], ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local places, recent = key('places:' .. account), key('recent:' .. account)
if redis.call('ZSCORE', places, token) then return '' end -- asked twice because the first answer was lost
local paused = tonumber(redis.call('GET', key('paused:' .. account)) or '0') - now
if paused > 0 then return string.format('%.3f', paused) end
redis.call('ZREMRANGEBYSCORE', places, '-inf', now)
if redis.call('ZCARD', places) >= tonumber(ARGV[4]) then return '0' end
if rate > 0 then
  redis.call('ZREMRANGEBYSCORE', recent, '-inf', now - minute)
  local above = redis.call('ZCARD', recent) - rate
  if above >= 0 then
    local last = redis.call('ZRANGE', recent, above, above, 'WITHSCORES')
    return string.format('%.3f', math.max(0.001, tonumber(last[2]) + minute - now))
  end
  redis.call('ZADD', recent, now, token)
  redis.call('EXPIRE', recent, FORGOTTEN)
end
redis.call('ZADD', places, now + tonumber(ARGV[7]), token)
redis.call('EXPIRE', places, FORGOTTEN)
return ''
