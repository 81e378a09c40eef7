-- The generic cell rate algorithm for several limits at once: all of them take one, or none does.
-- KEYS: one for each limit. ARGV: for each limit the microseconds between two, and how many may come at once.
-- Returns {0, 0}, or which limit refuses (from 1) and how many microseconds remain. The clock is this server's.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local due = {}
for i, key in ipairs(KEYS) do
    local every = tonumber(ARGV[2 * i - 1])
    local burst = tonumber(ARGV[2 * i])
    local full = math.max(tonumber(redis.call('GET', key) or now), now) + every
    local wait = full - burst * every - now
    if wait > 0 then
        return { i, math.ceil(wait) }
    end
    due[i] = full
end
for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', due[i]), 'PX', math.ceil((due[i] - now) / 1000) + 1)
end
return { 0, 0 }
