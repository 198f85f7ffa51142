-- ARGV: id, fence, result. Decides who recognises these bytes: 'cached', 'lead', 'wait' or 'void', with the
-- tickets of those whom a freed slot calls.
local id, result = ARGV[1], ARGV[3]
if not holds(id, ARGV[2]) then return {'void', {}} end
if redis.call('EXISTS', key('result:' .. result)) == 1 then return {'cached', {}} end
local leader = redis.call('GET', key('leader:' .. result))
if leader and leader ~= id then
  local state = get(leader, 'state')
  if (state == 'queued' or state == 'running') and get(leader, 'result') == result then
    redis.call('SADD', key('waiters:' .. result), id)
    set(id, 'result', result)
    redis.call('HINCRBY', key('job:' .. id), 'attempts', -1)
    next_run(id, 'waiting', now)
    return {'wait', give_slot(id)}
  end
end
redis.call('SET', key('leader:' .. result), id)
set(id, 'result', result)
return {'lead', {}}
