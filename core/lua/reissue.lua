-- ARGV: id, run. A new run for a ticket that the queue engine knows and nobody will ever be handed; nothing if
-- the record moved on meanwhile.
local id = ARGV[1]
local f = redis.call('HMGET', key('job:' .. id), 'state', 'run', 'claimed')
if (f[1] ~= 'queued' and f[1] ~= 'delivering') or f[2] ~= ARGV[2] or f[3] ~= '0' then return {} end
next_run(id, f[1], now)
return ticket(id)
