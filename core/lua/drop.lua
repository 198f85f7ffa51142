-- ARGV: result, blob. Forgets a result. One that an undelivered job has pinned is replaced by the blob instead:
-- that delivery is owed. 0: there is none, 1: replaced, 2: forgotten.
local result, blob = ARGV[1], ARGV[2]
if redis.call('EXISTS', key('result:' .. result)) == 0 then return 0 end
if redis.call('HEXISTS', key('pins'), result) == 1 then
  redis.call('SET', key('result:' .. result), blob, 'KEEPTTL')
  redis.call('HSET', key('sizes'), result, #blob)
  return 1
end
redis.call('DEL', key('result:' .. result))
redis.call('HDEL', key('sizes'), result)
redis.call('ZREM', key('results'), result)
return 2
