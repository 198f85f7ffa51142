-- ARGV: id, fence, delay in seconds, 1 if the attempt counts, lane ('' if unchanged). Gives the job back.
local id = ARGV[1]
if not holds(id, ARGV[2]) then return {'void'} end
local state = get(id, 'state')
if ARGV[4] == '0' then
  redis.call('HINCRBY', key('job:' .. id), state == 'delivering' and 'tries' or 'attempts', -1)
end
if ARGV[5] ~= '' then set(id, 'lane', ARGV[5]) end
next_run(id, state == 'delivering' and state or 'queued', now + tonumber(ARGV[3]))
return {'ok', append({ticket(id)}, give_slot(id))}
