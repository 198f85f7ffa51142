-- ARGV: id, recording. What a finished record says of people is replaced; its key and end stay, so that a late
-- duplicate of its event is still known. 0: it is under way, or unknown.
local id = ARGV[1]
local state = get(id, 'state')
if not state or not final(state) then return 0 end
set(id, 'recording', ARGV[2])
redis.call('HDEL', key('job:' .. id), 'message', 'receipt')
return 1
