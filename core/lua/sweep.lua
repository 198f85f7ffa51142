-- Forgets the book-keeping of results that have expired, oldest first, a bounded number per call.
local gone = 0
for _, result in ipairs(redis.call('ZRANGE', key('results'), 0, 499)) do
  if redis.call('EXISTS', key('result:' .. result)) == 0 then
    redis.call('HDEL', key('sizes'), result)
    redis.call('ZREM', key('results'), result)
    gone = gone + 1
  end
end
return gone
