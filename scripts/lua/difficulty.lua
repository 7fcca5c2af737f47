-- Difficulty: start where a worker was when it left, or by its software; never easier than what rented hash
-- power wants; some workers at a fixed one.
--
--   policies:
--     - file: scripts/lua/difficulty.lua
--       options:
--         agents: ["NiceHash/*=500000", "cgminer/4.*=8192"]   # the first that fits
--         fixed: ["*.test=1024"]                              # ACCOUNT.WORKER
--         steps: 4                                            # at most so many times harder at once
---@diagnostic disable-next-line: lowercase-global
options = {
  remember = {type = "duration", default = "1d", help = "how long a worker's difficulty is remembered"},
  agents = {type = "list", help = "PATTERN=DIFFICULTY by the miner's software: where it starts, and no easier"},
  fixed = {type = "list", help = "PATTERN=DIFFICULTY of ACCOUNT.WORKER: always this"},
  steps = {type = "int", default = 16, min = 2, max = 1000000, help = "a change is at most so many times"},
}

local function pair(text)
  local parts = text:split("=")
  local value = #parts == 2 and tonumber(parts[2])
  if not value or value <= 0 then error("'" .. text .. "' is not PATTERN=DIFFICULTY", 0) end
  return {pattern = parts[1], value = value}
end

local known, lists
local function tables()
  if known == options then return lists end
  lists = {agents = {}, fixed = {}}
  for _, text in ipairs(options.agents or {}) do table.insert(lists.agents, pair(text)) end
  for _, text in ipairs(options.fixed or {}) do table.insert(lists.fixed, pair(text)) end
  known = options
  return lists
end

local function find(list, text)
  for _, x in ipairs(list) do
    if text:glob(x.pattern) then return x.value end
  end
  return nil
end

local function name(s)
  return s.account .. "." .. s.worker
end

local function key(s)
  return (s.pool .. " " .. name(s)):sub(-120)
end

---@param s otedama.AuthorizeIn
---@return otedama.Authorize?
function on_authorize(s)
  local t = tables()
  local d = find(t.fixed, name(s))
  if d then return {difficulty = d} end
  local floor = s.agent and find(t.agents, s.agent)
  d = tonumber(kv.get(key(s)) or "")
  if d then
    if floor and d < floor then d = floor end
    return {difficulty = d}
  end
  return floor and {difficulty = floor} or nil
end

---@param s otedama.DifficultyIn
---@return otedama.Difficulty?
function difficulty(s)
  local t = tables()
  local d = s.account and find(t.fixed, name(s))
  if d then return {difficulty = d, fixed = true} end
  d = s.wanted
  if d > s.current * options.steps then d = s.current * options.steps end
  if d < s.current / options.steps then d = s.current / options.steps end
  local floor = s.agent and find(t.agents, s.agent)
  if floor and d < floor then d = floor end
  if s.account then kv.set(key(s), ("%.9g"):format(d), options.remember) end
  return {difficulty = d}
end

function selftest()
  tables()
  local saved = options
  options = {remember = 3600, agents = {"Nice*=500000", "slow=2"}, fixed = {"*.test=64"}, steps = 4}
  local function login(worker, agent)
    return on_authorize({pool = "p", host = "h", port = 1, account = "a", worker = worker, agent = agent,
                         connections = 1, workers = 1, start = 1024, min = 1, max = 1e9})
  end
  local function step(worker, agent, current, wanted)
    return difficulty({pool = "p", host = "h", port = 1, account = "a", worker = worker, agent = agent,
                       current = current, wanted = wanted, min = 1, max = 1e9, start = 1024, aim_ms = 10000,
                       shares = 1, window_ms = 1, connected_s = 1})
  end
  assert(login("w", "cpuminer") == nil, "the port's start where nothing is known")
  assert(login("w", "NiceHash/1.0").difficulty == 500000)
  assert(login("test", "NiceHash/1.0").difficulty == 64, "fixed goes first")
  assert(step("w", nil, 100, 200).difficulty == 200)
  assert(step("w", nil, 100, 5000).difficulty == 400, "four times at most")
  assert(step("w", nil, 100, 1).difficulty == 25)
  assert(step("test", nil, 100, 1).fixed)
  assert(login("w", nil).difficulty == 25, "remembered")
  assert(login("w", "NiceHash/1.0").difficulty == 500000, "but no easier than its software needs")
  assert(step("v", "slow", 10, 1.5).difficulty == 2.5)
  step("small", nil, 2e-7, 2.5e-7)
  assert(login("small", nil).difficulty == 2.5e-7, "however small it is")
  assert(not pcall(pair, "x") and not pcall(pair, "x=-1"))
  options = saved
end
