-- ARGV: id, fence, receipt, final record's life in seconds, 1 if delivered. Ends the job. Its record is kept as
-- long as its result at least: without it, nobody could ask for that or have it forgotten.
local id = ARGV[1]
if not holds(id, ARGV[2]) then return 0 end
set(id, 'receipt', ARGV[3])
local life = redis.call('PTTL', key('result:' .. (get(id, 'result') or '')))
local keep = math.max(tonumber(ARGV[4]), math.ceil(life / 1000))
close(id, (ARGV[5] == '1' and get(id, 'outcome') == 'transcript') and 'done' or 'failed', keep)
return 1
