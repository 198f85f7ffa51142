-- ARGV: id, fence, receipt, final record's life in seconds, 1 if delivered. Ends the job.
local id = ARGV[1]
if not holds(id, ARGV[2]) then return 0 end
set(id, 'receipt', ARGV[3])
close(id, (ARGV[5] == '1' and get(id, 'outcome') == 'transcript') and 'done' or 'failed', ARGV[4])
return 1
