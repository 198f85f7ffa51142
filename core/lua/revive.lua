-- ARGV: id, seconds of silence after which a claim is dead. Returns the ticket to hand to the queue engine
-- again (a no-op there if it is known), or nothing. Heals every crash between our records and the engine's.
local id = ARGV[1]
local f = redis.call('HMGET', key('job:' .. id), 'state', 'claimed', 'beat', 'result', 'tenant')
if not f[1] then
  redis.call('ZREM', key('open'), id)
  redis.call('SREM', key('outbox'), id)
  return {}
end
if f[1] == 'waiting' then
  local leader = redis.call('GET', key('leader:' .. f[4]))
  local state = leader and get(leader, 'state')
  if state == 'queued' or state == 'running' then return {} end
  requeue(id)
elseif redis.call('ZSCORE', key('line:' .. f[5]), id) then
  return append({}, call_next(id))[1] or {}
elseif f[2] == '1' then
  if now - tonumber(f[3]) < tonumber(ARGV[2]) then return {} end
  redis.call('HINCRBY', key('job:' .. id), 'run', 1) -- claimed stays: the next claim counts the crash
  set(id, 'beat', tostring(now))
end
return ticket(id)
