-- ARGV: id, fence, stage ('' if unchanged), fraction ('' if unknown). Returns 1 while the caller holds the job.
local id = ARGV[1]
if not holds(id, ARGV[2]) then return 0 end
set(id, 'beat', tostring(now))
if ARGV[3] ~= '' then
  set(id, 'stage', ARGV[3], 'fraction', ARGV[4])
  redis.call('PUBLISH', key('progress'), cjson.encode({id, get(id, 'door'), ARGV[3], ARGV[4]}))
end
return 1
