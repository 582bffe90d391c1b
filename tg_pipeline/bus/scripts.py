"""What happens in Redis all at once or not at all, and the keys it happens to.

A command is in one place at a time: `tg_commands` (pushed), `:processing` (taken by a reader, not yet accepted), then
either `:dead` (rejected) or `:waiting:<slug>` (accepted), then `:in_flight` (launched or about to be). Its record lives
from its acceptance until IDEMPOTENCY_TTL after its end. Every event leaves in the same step that it is about.
"""

CHANNEL = "tg_events"
LOG = "tg_events:log"
LOG_LENGTH = 100_000
COMMANDS = "tg_commands"
PUBLISHED = "tg_events:published"
"""How many events of each kind were published, ever."""
ENDED = f"{COMMANDS}:ended"
"""How many commands ended in each status, ever."""
UNTAKEN = f"{COMMANDS}:untaken"
"""Since when what was pushed is known to wait for a reader (POSIX ms): clients date no command."""
MARKS_TTL_SECONDS = 7 * 86_400
"""How long it is remembered of a run or command which of its events were published."""

TYPES = {
    COMMANDS: "list",
    f"{COMMANDS}:dead": "list",
    f"{COMMANDS}:followers:": "list",
    f"{COMMANDS}:processing": "hash",
    f"{COMMANDS}:in_flight": "hash",
    f"{COMMANDS}:busy": "hash",
    f"{COMMANDS}:record:": "hash",
    ENDED: "hash",
    f"{COMMANDS}:chats": "zset",
    f"{COMMANDS}:waiting:": "zset",
    f"{COMMANDS}:seq": "string",
    f"{COMMANDS}:key:": "string",
    f"{COMMANDS}:content:": "string",
    f"{COMMANDS}:owner:": "string",
    UNTAKEN: "string",
    LOG: "stream",
    PUBLISHED: "hash",
    "tg_events:marks:": "hash",
    "tg_events:days:": "hash",
    "tg_events:pace:": "string",
}
"""What Redis calls the values of our keys. A name that ends in a colon is the beginning of many."""

_COMMON = f"""
local function publish(event)
    redis.call('XADD', '{LOG}', 'MAXLEN', '~', {LOG_LENGTH}, '*', 'event', event)
    redis.call('PUBLISH', '{CHANNEL}', event)
    redis.call('HINCRBY', '{PUBLISHED}', cjson.decode(event).event, 1)
end
local function count_ended(ended)
    redis.call('HINCRBY', '{ENDED}', cjson.decode(ended).status, 1)
end
local function has_ended(id)
    return redis.call('HEXISTS', 'tg_events:marks:' .. id, 'ended') == 1
end
local function start(id, started)
    local marks = 'tg_events:marks:' .. id
    if has_ended(id) or redis.call('HSETNX', marks, 'started', started) == 0 then return 0 end
    redis.call('EXPIRE', marks, {MARKS_TTL_SECONDS})
    publish(started)
    return 1
end
local function mark_ended(id, ended)
    local marks = 'tg_events:marks:' .. id
    redis.call('HSET', marks, 'ended', ended)
    redis.call('EXPIRE', marks, {MARKS_TTL_SECONDS})
    publish(ended)
end
local function as_follower(ended, follower)
    local event, own = cjson.decode(ended), cjson.decode(follower)
    event.duplicate_of = event.command_id
    event.command_id, event.chat, event.mode, event.params = own.command_id, own.chat, own.mode, own.params
    return cjson.encode(event)
end
local function finish(id, started, ended)
    if has_ended(id) then return 0 end
    if started ~= '' then start(id, started) end
    local event, total = cjson.decode(ended), 0
    for _, count in ipairs(redis.call('HVALS', 'tg_events:days:' .. id)) do total = total + count end
    if total > event.processed then
        -- A run that publishes the end knows its own days only.
        event.processed = total
        ended = cjson.encode(event)
    end
    mark_ended(id, ended)
    redis.call('DEL', 'tg_events:days:' .. id)
    local record = '{COMMANDS}:record:' .. id
    local known = redis.call('HMGET', record, 'ttl', 'key', 'content')
    if not known[1] then return 1 end
    count_ended(ended)
    redis.call('HSET', record, 'state', 'ended')
    redis.call('EXPIRE', record, known[1])
    if known[2] ~= '' then redis.call('EXPIRE', '{COMMANDS}:key:' .. known[2], known[1]) end
    local content = '{COMMANDS}:content:' .. known[3]
    if redis.call('GET', content) == id then redis.call('DEL', content) end
    for _, follower in ipairs(redis.call('LRANGE', '{COMMANDS}:followers:' .. id, 0, -1)) do
        local other = cjson.decode(follower).command_id
        if not has_ended(other) then
            mark_ended(other, as_follower(ended, follower))
            count_ended(ended)
        end
        redis.call('EXPIRE', '{COMMANDS}:record:' .. other, known[1])
    end
    redis.call('DEL', '{COMMANDS}:followers:' .. id)
    return 1
end
"""

TAKE = f"""
-- ARGV: how many, how many bytes in all, bytes beyond which only the beginning is given, that beginning's length
local out, bytes = {{}}, 0
local function give(seq, raw)
    bytes = bytes + math.min(#raw, tonumber(ARGV[3]))
    out[#out + 1] = {{seq, #raw, #raw > tonumber(ARGV[3]) and raw:sub(1, tonumber(ARGV[4])) or raw}}
end
local left = redis.call('HKEYS', '{COMMANDS}:processing')
table.sort(left, function(a, b) return tonumber(a) < tonumber(b) end)
for _, seq in ipairs(left) do
    if #out >= tonumber(ARGV[1]) or bytes >= tonumber(ARGV[2]) then return out end
    give(seq, redis.call('HGET', '{COMMANDS}:processing', seq))
end
while #out < tonumber(ARGV[1]) and bytes < tonumber(ARGV[2]) do
    if redis.call('LLEN', '{COMMANDS}') == 0 then return out end
    -- Before the command leaves the list: where this key is not a number, the script ends here, and nothing is lost.
    local seq = tostring(redis.call('INCR', '{COMMANDS}:seq'))
    local raw = redis.call('LPOP', '{COMMANDS}')
    redis.call('DEL', '{UNTAKEN}')
    redis.call('HSET', '{COMMANDS}:processing', seq, raw)
    give(seq, raw)
end
return out
"""

REJECT = (
    _COMMON
    + f"""
-- ARGV: seq, the event, the id to use if the event's own is taken, the dead letter, how many dead letters to keep,
-- the answer if the id was rejected before (empty: the command named none), seconds for which that is remembered
if redis.call('HDEL', '{COMMANDS}:processing', ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', '{COMMANDS}:dead', ARGV[4])
redis.call('LTRIM', '{COMMANDS}:dead', 0, ARGV[5] - 1)
local event = cjson.decode(ARGV[2])
local marks = 'tg_events:marks:' .. event.command_id
if redis.call('EXISTS', '{COMMANDS}:record:' .. event.command_id) == 1 then
    event.command_id = ARGV[3]
    publish(cjson.encode(event))
elseif ARGV[6] == '' then
    publish(ARGV[2])
else
    local ended = redis.call('HGET', marks, 'ended')
    if ended and cjson.decode(ended).status == 'rejected' then
        local answer = cjson.decode(ARGV[6])
        answer.outcome = cjson.decode(ended)
        publish(cjson.encode(answer))
        return 1
    end
    mark_ended(event.command_id, ARGV[2])
    redis.call('EXPIRE', marks, ARGV[7])
end
count_ended(ARGV[2])
return 1
"""
)

ACCEPT = (
    _COMMON
    + f"""
-- ARGV: seq, id, record as JSON, started event, answer to a command that is here already
if redis.call('HDEL', '{COMMANDS}:processing', ARGV[1]) == 0 then return 'gone' end
local id, own = ARGV[2], cjson.decode(ARGV[3])
local record = '{COMMANDS}:record:' .. id
if redis.call('EXISTS', record) == 1 then
    local answer, ended = cjson.decode(ARGV[5]), redis.call('HGET', 'tg_events:marks:' .. id, 'ended')
    if ended then answer.outcome = cjson.decode(ended) end
    publish(cjson.encode(answer))
    return 'duplicate'
end
redis.call('DEL', 'tg_events:marks:' .. id, 'tg_events:days:' .. id)
local leader = own.key ~= '' and redis.call('GET', '{COMMANDS}:key:' .. own.key)
if not leader and own.named == '0' then leader = redis.call('GET', '{COMMANDS}:content:' .. own.content) end
if leader and redis.call('EXISTS', '{COMMANDS}:record:' .. leader) == 0 then leader = false end
for field, value in pairs(own) do redis.call('HSET', record, field, value) end
if leader then
    redis.call('HSET', record, 'state', 'follower', 'leader', leader)
    local started = cjson.decode(ARGV[4])
    started.duplicate_of = leader
    start(id, cjson.encode(started))
    local ended = redis.call('HGET', 'tg_events:marks:' .. leader, 'ended')
    if ended then
        mark_ended(id, as_follower(ended, ARGV[4]))
        count_ended(ended)
        redis.call('EXPIRE', record, own.ttl)
    else
        redis.call('RPUSH', '{COMMANDS}:followers:' .. leader, ARGV[4])
    end
    return 'coalesced'
end
redis.call('HSET', record, 'state', 'waiting')
if own.key ~= '' then redis.call('SET', '{COMMANDS}:key:' .. own.key, id) end
redis.call('SET', '{COMMANDS}:content:' .. own.content, id)
redis.call('ZADD', '{COMMANDS}:waiting:' .. own.slug, ARGV[1] - own.priority * 1e12, id)
redis.call('ZADD', '{COMMANDS}:chats', 'NX', 0, own.slug)
return 'waiting'
"""
)

DUE = f"""
-- The first waiting command of each chat that has none in flight: slug, id, score, when the chat was served last
local out = {{}}
local chats = redis.call('ZRANGE', '{COMMANDS}:chats', 0, -1, 'WITHSCORES')
for i = 1, #chats, 2 do
    if redis.call('HEXISTS', '{COMMANDS}:busy', chats[i]) == 0 then
        local head = redis.call('ZRANGE', '{COMMANDS}:waiting:' .. chats[i], 0, 0, 'WITHSCORES')
        if head[1] then out[#out + 1] = {{chats[i], head[1], head[2], chats[i + 1]}} end
    end
end
return out
"""

OLDEST = f"""
-- ARGV: now. Since when what was pushed waits for a reader: since somebody first looked, and no reader has come since.
local untaken = false
if redis.call('LLEN', '{COMMANDS}') + redis.call('HLEN', '{COMMANDS}:processing') == 0 then
    redis.call('DEL', '{UNTAKEN}')
else
    redis.call('SETNX', '{UNTAKEN}', ARGV[1])
    untaken = redis.call('GET', '{UNTAKEN}')
end
-- When the oldest command that waits or is in flight was accepted. Among those of a priority it is the first.
local oldest = false
local function look(command)
    local accepted = command and cjson.decode(command).accepted or 0
    if accepted > 0 and (not oldest or accepted < oldest) then oldest = accepted end
end
for _, entry in ipairs(redis.call('HVALS', '{COMMANDS}:in_flight')) do look(cjson.decode(entry).command) end
for _, slug in ipairs(redis.call('ZRANGE', '{COMMANDS}:chats', 0, -1)) do
    for priority = 0, 9 do
        local least, most = string.format('%.0f', -priority * 1e12), string.format('(%.0f', (1 - priority) * 1e12)
        local head = redis.call('ZRANGEBYSCORE', '{COMMANDS}:waiting:' .. slug, least, most, 'LIMIT', 0, 1)
        if head[1] then look(redis.call('HGET', '{COMMANDS}:record:' .. head[1], 'command')) end
    end
end
return {{untaken, oldest and string.format('%.0f', oldest)}}
"""

CLAIM = f"""
-- ARGV: id, slug, entry of the in-flight hash, number of this claim
local waiting = '{COMMANDS}:waiting:' .. ARGV[2]
if redis.call('HEXISTS', '{COMMANDS}:busy', ARGV[2]) == 1 or redis.call('ZREM', waiting, ARGV[1]) == 0 then return 0 end
redis.call('HSET', '{COMMANDS}:busy', ARGV[2], ARGV[1])
redis.call('HSET', '{COMMANDS}:in_flight', ARGV[1], ARGV[3])
redis.call('HSET', '{COMMANDS}:record:' .. ARGV[1], 'state', 'in_flight')
if redis.call('ZCARD', waiting) == 0 then
    redis.call('ZREM', '{COMMANDS}:chats', ARGV[2])
else
    redis.call('ZADD', '{COMMANDS}:chats', ARGV[4], ARGV[2])
end
return 1
"""

ADOPT = f"""
-- ARGV: id, the entry as it was, the new one
if redis.call('HGET', '{COMMANDS}:in_flight', ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', '{COMMANDS}:in_flight', ARGV[1], ARGV[3])
return 1
"""

RELEASE = f"""
-- ARGV: id, slug
redis.call('HDEL', '{COMMANDS}:in_flight', ARGV[1])
if redis.call('HGET', '{COMMANDS}:busy', ARGV[2]) == ARGV[1] then redis.call('HDEL', '{COMMANDS}:busy', ARGV[2]) end
return 1
"""

START = _COMMON + "return start(ARGV[1], ARGV[2])"

PROGRESS = (
    _COMMON
    + """
-- ARGV: id, the event, day and count, day and count, ...
if has_ended(ARGV[1]) then return 0 end
local days = 'tg_events:days:' .. ARGV[1]
for i = 3, #ARGV, 2 do redis.call('HSET', days, ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', days, 86400)
if not redis.call('SET', 'tg_events:pace:' .. ARGV[1], '1', 'NX', 'PX', 1000) then return 0 end
local event, total = cjson.decode(ARGV[2]), 0
for _, count in ipairs(redis.call('HVALS', days)) do total = total + count end
event.processed, event.days_done = total, redis.call('HLEN', days)
publish(cjson.encode(event))
return 1
"""
)

FINISH = _COMMON + "return finish(ARGV[1], ARGV[2], ARGV[3])"

DROP_WAITING = (
    _COMMON
    + f"""
-- ARGV: id, slug, the failed event
if redis.call('ZREM', '{COMMANDS}:waiting:' .. ARGV[2], ARGV[1]) == 0 then return 0 end
if redis.call('EXISTS', '{COMMANDS}:waiting:' .. ARGV[2]) == 0 then redis.call('ZREM', '{COMMANDS}:chats', ARGV[2]) end
return finish(ARGV[1], '', ARGV[3])
"""
)

RETRY_DEAD = f"""
-- ARGV: the dead letter, its text
if redis.call('LREM', '{COMMANDS}:dead', 1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', '{COMMANDS}', ARGV[2])
return 1
"""
