-- ARGV: id, fence, result, blob ('' if it is in the cache), life in ms, cache budget in bytes.
-- The only place where a result becomes true: result and outbox rows together, or nothing.
local id, result, blob = ARGV[1], ARGV[3], ARGV[4]
if not holds(id, ARGV[2]) or get(id, 'state') ~= 'running' then return {'void'} end
if blob == '' then
  if redis.call('EXISTS', key('result:' .. result)) == 0 then return {'missing'} end
else
  redis.call('SET', key('result:' .. result), blob, 'PX', ARGV[5])
  redis.call('HSET', key('sizes'), result, #blob)
end
redis.call('ZADD', key('results'), now, result)
set(id, 'result', result)
pin(id, result)
owe(id, 'transcript')
local tickets = free_waiters(id, function(other, r)
  pin(other, r)
  owe(other, 'transcript')
end)
append(append(tickets, {ticket(id)}), give_slot(id))
local total = 0
local sizes = redis.call('HGETALL', key('sizes'))
for i = 2, #sizes, 2 do total = total + tonumber(sizes[i]) end
if total > tonumber(ARGV[6]) then
  for _, old in ipairs(redis.call('ZRANGE', key('results'), 0, -1)) do
    if total <= tonumber(ARGV[6]) then break end
    if redis.call('HEXISTS', key('pins'), old) == 0 then
      total = total - tonumber(redis.call('HGET', key('sizes'), old) or '0')
      redis.call('DEL', key('result:' .. old))
      redis.call('HDEL', key('sizes'), old)
      redis.call('ZREM', key('results'), old)
    end
  end
end
return {'ok', tickets}
