-- ARGV: id, run, worker, crash budget, final record's life in seconds, message for a poison job, tenant's slots.
-- The attempt is counted here, at the claim, so a file that kills its process still runs out of them.
local id = ARGV[1]
local state = get(id, 'state')
if not state or final(state) or get(id, 'run') ~= ARGV[2] then return {'void'} end
if get(id, 'claimed') == '1' then
  local crashes = redis.call('HINCRBY', key('job:' .. id), 'crashes', 1)
  if crashes >= tonumber(ARGV[4]) then
    if state == 'delivering' then
      close(id, 'failed', ARGV[5])
      return {'undeliverable'}
    end
    set(id, 'message', ARGV[6])
    owe(id, 'failure')
    return {'poison', append(append({ticket(id)}, free_waiters(id, requeue)), give_slot(id))}
  end
end
if state ~= 'delivering' and not take_slot(id, ARGV[7]) then return {'void'} end
local fence = redis.call('INCR', key('fence'))
if state ~= 'delivering' then
  state = 'running'
  redis.call('HINCRBY', key('job:' .. id), 'attempts', 1)
else
  redis.call('HINCRBY', key('job:' .. id), 'tries', 1)
end
set(id, 'state', state, 'fence', tostring(fence), 'claimed', '1', 'beat', tostring(now), 'worker', ARGV[3])
return {'go', tostring(fence)}
