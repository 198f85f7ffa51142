-- ARGV: -, receipt, its life in seconds, the month's budget of all and that of the tenant in millionths of a dollar
-- ('' if there is none). Returns {} with the money set aside, else {whose budget is short, 1 for the first refusal
-- under it}.
local receipt = ARGV[2]
release_expired()
if redis.call('ZSCORE', key('reservations'), receipt) then return {} end
local r = cjson.decode(receipt)
local spent, aside = key('spent:' .. r.month), key('aside:' .. r.month)
local micros = tonumber(r.micros) or 0
local budgets = {{'all', ARGV[4]}, {'of:' .. r.tenant, ARGV[5]}}
for _, budget in ipairs(budgets) do
  local whose, limit = budget[1], tonumber(budget[2])
  if limit then
    local used = tonumber(redis.call('HGET', spent, whose) or '0') + tonumber(redis.call('HGET', aside, whose) or '0')
    if used + math.max(micros, 1) > limit then -- an unknown price needs a budget that is not used up
      local told = redis.call('SADD', key('refused:' .. r.month), whose .. ' ' .. budget[2])
      redis.call('EXPIRE', key('refused:' .. r.month), KEPT)
      return {whose, told}
    end
  end
end
redis.call('ZADD', key('reservations'), now + tonumber(ARGV[3]), receipt)
for _, budget in ipairs(budgets) do redis.call('HINCRBY', aside, budget[1], micros) end
redis.call('EXPIRE', aside, KEPT)
return {}
