-- ARGV: id, recording, door, tenant, lane, refusal ('' if accepted), delay in seconds. Returns {1 if new, ticket}.
local id = ARGV[1]
if redis.call('EXISTS', key('job:' .. id)) == 1 then return {0, ticket(id)} end
set(id, 'recording', ARGV[2], 'door', ARGV[3], 'tenant', ARGV[4], 'lane', ARGV[5], 'state', 'queued',
    'run', '1', 'claimed', '0', 'attempts', '0', 'crashes', '0', 'tries', '0', 'stage', 'queued',
    'submitted', tostring(now), 'due', tostring(now + tonumber(ARGV[7])))
redis.call('ZADD', key('open'), now, id)
if ARGV[6] ~= '' then
  set(id, 'message', ARGV[6])
  owe(id, 'failure')
end
return {1, ticket(id)}
