-- ARGV: id, final record's life in seconds, fence ('' for a person's wish). Returns {1 if it was under way, tickets of those who waited}.
local id = ARGV[1]
local state = get(id, 'state')
if not state or final(state) then return {0, {}} end
if ARGV[3] ~= '' and not holds(id, ARGV[3]) then return {0, {}} end
local freed = free_waiters(id, requeue)
close(id, 'cancelled', ARGV[2])
redis.call('HINCRBY', key('job:' .. id), 'run', 1)
return {1, append(freed, give_slot(id))}
