-- ARGV: -, a lease's length in seconds, then account and token of each place that is held. A place that was given
-- back meanwhile stays so.
for i = 3, #ARGV, 2 do
  redis.call('ZADD', key('places:' .. ARGV[i]), 'XX', now + tonumber(ARGV[2]), ARGV[i + 1])
  redis.call('EXPIRE', key('places:' .. ARGV[i]), FORGOTTEN)
end
return 1
