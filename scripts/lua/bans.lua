-- Bans: whoever does wrong is warned, then dropped, then banned for longer each time; the worker first, its
-- account when many of its workers are banned. An address is banned only where nobody behind it does good
-- work: a farm behind one NAT is not banned for one bad miner. Who watches the pool's port from outside
-- without logging in belongs into exempt.
--
--   policies:
--     - file: scripts/lua/bans.lua
--       options: {least: 50, share: 80%, first: 10m, longest: 1d, exempt: [192.0.2.7]}
---@diagnostic disable-next-line: lowercase-global
options = {
  least = {type = "int", default = 16, min = 1, max = 100000, help = "offences of a worker in the window before anything happens"},
  share = {type = "rate", default = "50%", help = "refused shares, of all, from which a worker is bad"},
  first = {type = "duration", default = "10m", help = "the first ban; each one after it is twice as long"},
  longest = {type = "duration", default = "1d", help = "but no longer than this"},
  memory = {type = "duration", default = "7d", help = "how long what somebody did is remembered"},
  account_after = {type = "int", default = 5, min = 2, max = 1000, help = "banned workers of one account that ban it"},
  strangers = {type = "int", default = 20, min = 1, max = 100000, help = "times that an address does wrong without logging in, and is banned"},
  within = {type = "duration", default = "1h", help = "in so long"},
  exempt = {type = "list", help = "addresses and accounts that are never banned"},
}

local function exempt(o)
  for _, x in ipairs(options.exempt or {}) do
    if x == o.host or x == o.account then return true end
  end
  return false
end

-- Times that somebody has been banned before make the next ban longer.
local function ban_time(times)
  local s = options.first
  for _ = 1, times do
    s = s * 2
    if s >= options.longest then return options.longest end
  end
  return s
end

local words = {
  malformed = "lines that are no requests",
  stale = "stale shares",
  duplicate = "the same share again",
  low_difficulty = "shares below the difficulty",
  unauthorized = "shares of workers that are not authorized",
  invalid = "shares outside of the rules of the job",
  flood = "too many requests",
  handshake = "connections that never log in",
}

-- Stale shares come of a bad line, not of a bad will: nobody is banned for them.
local mild = {stale = true}

-- A worker is bad by the part of its shares that is refused, not by their number: a fast one has more of all.
local function is_bad(o)
  local all = o.accepted + o.refused
  if o.kind == "malformed" or o.kind == "flood" or o.kind == "handshake" or all == 0 then return true end
  return o.refused * 1000000 // all >= options.share
end

local function against_worker(o)
  local who = o.pool .. "/" .. o.account .. "." .. (o.worker or "")
  local key = "w " .. o.pool .. " " .. (o.account .. "." .. (o.worker or "")):sub(-100)
  local step = kv.incr(key, options.memory) or 2 -- no room to remember more of them: not warned again and again
  local reason = o.count .. " times " .. words[o.kind]
  if mild[o.kind] or step == 1 then
    return {action = "warn", reason = reason}
  end
  if step == 2 then
    return {action = "drop", reason = reason}
  end
  local banned = kv.incr("a " .. o.pool .. " " .. o.account:sub(-100), options.memory) or 1
  local seconds = ban_time(step - 3)
  if banned > options.account_after then
    log("warn", "account " .. o.account .. " is banned: " .. banned .. " bans of its workers")
    return {action = "ban", scope = "account", seconds = seconds, reason = "many bad workers: " .. reason}
  end
  tag("worker", who, "banned before", options.memory)
  return {action = "ban", scope = "worker", seconds = seconds, reason = reason}
end

-- Somebody who has not said who it is. Others that do good work from the same address are not to suffer.
local function against_address(o)
  local reason = o.count .. " times " .. words[o.kind]
  if o.host_workers > 0 or o.host_accepted > 0 then
    if o.kind == "handshake" then return {action = "none"} end
    return {action = "drop", reason = reason}
  end
  local times = kv.incr("n " .. o.host, options.within) or 1
  if times < options.strangers then
    if o.kind == "handshake" then return {action = "none"} end
    return {action = "warn", reason = reason}
  end
  local before = kv.incr("h " .. o.host, options.memory) or 1
  return {action = "ban", scope = "ip", seconds = ban_time(before - 1), reason = times .. " times " .. words[o.kind]}
end

---@param o otedama.OffenceIn
---@return otedama.Offence?
function on_offence(o)
  if exempt(o) then return {action = "none"} end
  if not o.account then return against_address(o) end
  if o.count < options.least or not is_bad(o) then return {action = "none"} end
  return against_worker(o)
end

function selftest()
  local saved = options
  options = {least = 10, share = 500000, first = 600, longest = 3600, memory = 86400, account_after = 2,
             strangers = 3, within = 3600, exempt = {"9.9.9.9"}}
  local function offence(more)
    local o = {kind = "duplicate", pool = "p", host = "1.2.3.4", port = 3333, count = 20, window_s = 300,
               accepted = 0, refused = 20, host_workers = 0, host_accepted = 0, connections = 1}
    for k, v in pairs(more) do o[k] = v end
    return on_offence(o)
  end
  assert(offence({account = "a", worker = "w1", count = 5}).action == "none", "a few do not matter")
  assert(offence({host = "9.9.9.9"}).action == "none", "an exempt address")
  assert(offence({account = "a", worker = "fast", accepted = 1000}).action == "none", "few of many")
  -- A worker: warned, dropped, banned, banned for longer.
  local bad = {account = "a", worker = "w1", host_workers = 50, host_accepted = 100000}
  assert(offence(bad).action == "warn")
  assert(offence(bad).action == "drop")
  local ban1, ban2 = offence(bad), offence(bad)
  assert(ban1.action == "ban" and ban1.scope == "worker" and ban1.seconds == 600)
  assert(ban2.scope == "worker" and ban2.seconds == 1200)
  -- The third ban of this account's workers is one of the account.
  assert(offence(bad).scope == "account")
  -- Behind a NAT with good miners an unknown one is dropped, never banned.
  for _ = 1, 5 do
    assert(offence({kind = "flood", host_workers = 3}).action == "drop")
  end
  -- Alone it is warned, then banned, at most as long as the options say.
  local alone = {kind = "malformed", host = "5.6.7.8"}
  assert(offence(alone).action == "warn" and offence(alone).action == "warn")
  local first, last = offence(alone), nil
  assert(first.action == "ban" and first.scope == "ip" and first.seconds == 600)
  for _ = 1, 10 do last = offence(alone) end
  assert(last.scope == "ip" and last.seconds == 3600)
  assert(offence({kind = "handshake", host = "5.6.7.9", count = 1}).action == "none")
  -- Stale shares never ban.
  for _ = 1, 5 do
    assert(offence({kind = "stale", account = "b", worker = "w"}).action == "warn")
  end
  options = saved
end
