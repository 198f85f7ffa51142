-- Shared by every script. KEYS[1] is the prefix with its hash tag, so that all keys share a cluster slot.
local p = KEYS[1]
local function key(name) return p .. ':' .. name end
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000

local function get(id, field) return redis.call('HGET', key('job:' .. id), field) end
local function set(id, ...) redis.call('HSET', key('job:' .. id), ...) end
local function final(state) return state == 'done' or state == 'failed' or state == 'cancelled' end

-- What the caller hands to the queue engine: which run of which job waits in which lane, and from when.
local function ticket(id)
  local f = redis.call('HMGET', key('job:' .. id), 'run', 'lane', 'due')
  return {id, f[1], f[2], f[3]}
end

-- Every change of hands makes a new run: whatever still carries the old number is void.
local function next_run(id, state, due)
  redis.call('HINCRBY', key('job:' .. id), 'run', 1)
  set(id, 'state', state, 'claimed', '0', 'due', tostring(due))
end

-- Whether the caller still holds the job: its fencing token is the newest and the job is not over.
local function holds(id, fence)
  local f = redis.call('HMGET', key('job:' .. id), 'state', 'fence', 'claimed')
  return f[1] and not final(f[1]) and f[2] == fence and f[3] == '1'
end

-- A tenant's slots. A job keeps its slot until it is given back, so one that lost its worker runs again at once;
-- who finds no slot waits in line and is called when one is free.
local function slots(id) return key('slots:' .. get(id, 'tenant')), key('line:' .. get(id, 'tenant')) end
local function take_slot(id, limit)
  local taken, line = slots(id)
  redis.call('SET', key('limit'), limit)
  if redis.call('SISMEMBER', taken, id) == 0 and redis.call('SCARD', taken) >= tonumber(limit) then
    redis.call('ZADD', line, 'NX', now, id)
    return false
  end
  redis.call('SADD', taken, id)
  redis.call('ZREM', line, id)
  return true
end
local function call_next(id)
  local taken, line = slots(id)
  if redis.call('SCARD', taken) >= tonumber(redis.call('GET', key('limit')) or '1') then return {} end
  local first = redis.call('ZPOPMIN', line)
  while #first > 0 do
    if get(first[1], 'state') == 'queued' then
      next_run(first[1], 'queued', now)
      return {ticket(first[1])}
    end
    first = redis.call('ZPOPMIN', line)
  end
  return {}
end
local function give_slot(id)
  local taken, line = slots(id)
  redis.call('ZREM', line, id)
  if redis.call('SREM', taken, id) == 0 then return {} end
  return call_next(id)
end
local function append(list, more)
  for _, item in ipairs(more) do list[#list + 1] = item end
  return list
end

-- The outbox row: from here on only the delivery is owed.
local function owe(id, outcome)
  set(id, 'outcome', outcome, 'crashes', '0', 'tries', '0', 'lane', 'post:' .. get(id, 'door'))
  next_run(id, 'delivering', now)
  redis.call('SADD', key('outbox'), id)
end

-- Ends the job's leadership over its result; those who waited for it go on as `act` says.
local function free_waiters(id, act)
  local freed = {}
  local result = get(id, 'result')
  if not result or redis.call('GET', key('leader:' .. result)) ~= id then return freed end
  redis.call('DEL', key('leader:' .. result))
  for _, other in ipairs(redis.call('SMEMBERS', key('waiters:' .. result))) do
    if get(other, 'state') == 'waiting' then
      act(other, result)
      freed[#freed + 1] = ticket(other)
    end
  end
  redis.call('DEL', key('waiters:' .. result))
  return freed
end

local function requeue(id) next_run(id, 'queued', now) end

local function pin(id, result)
  set(id, 'result', result, 'pinned', '1')
  redis.call('HINCRBY', key('pins'), result, 1)
end

-- Its record is kept for `keep` seconds, and as long as its result at least: through it that is deleted.
local function close(id, state, keep)
  local result = get(id, 'result')
  if result then
    keep = math.max(tonumber(keep), math.ceil(redis.call('PTTL', key('result:' .. result)) / 1000))
  end
  if get(id, 'pinned') == '1' then
    if redis.call('HINCRBY', key('pins'), result, -1) <= 0 then redis.call('HDEL', key('pins'), result) end
    set(id, 'pinned', '0')
  end
  set(id, 'state', state, 'claimed', '0', 'finished', tostring(now))
  redis.call('ZREM', key('open'), id)
  redis.call('SREM', key('outbox'), id)
  redis.call('EXPIRE', key('job:' .. id), keep)
end
