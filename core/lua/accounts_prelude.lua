-- Shared by the scripts of core.accounts. KEYS[1] is the prefix with its hash tag; ARGV[1] how many seconds the
-- clock is put forward (0 outside of tests).
local function key(name) return KEYS[1] .. ':accounts:' .. name end
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000 + tonumber(ARGV[1])
local FORGOTTEN = 86400 -- seconds after which what nobody touches is dropped; nothing else depends on it
local KEPT = 800 * 86400 -- of the money

-- Ends a reservation; what it set aside is free again.
local function release(receipt)
  if redis.call('ZREM', key('reservations'), receipt) == 0 then return end
  local r = cjson.decode(receipt)
  local aside = key('aside:' .. r.month)
  local freed = 0 - (tonumber(r.micros) or 0) -- a plain minus makes -0, which is no integer to HINCRBY
  redis.call('HINCRBY', aside, 'all', freed)
  redis.call('HINCRBY', aside, 'of:' .. r.tenant, freed)
end

local function release_expired()
  for _, receipt in ipairs(redis.call('ZRANGEBYSCORE', key('reservations'), '-inf', now)) do
    release(receipt)
  end
end
