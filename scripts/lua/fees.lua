-- Fees: of the pool, by its own hash rate; of accounts: VIPs, tiers by hash rate, donations.
--
-- The pool's fee: pool_tiers, then rate, then what the settings say (nil). `donate` of it goes to donate_to.
-- An account's: the VIP list, then tiers, then rate. Its donation comes on top and goes to donate_to, the rest is the pool's.
--
--   policies:
--     - file: scripts/lua/fees.lua
--       options:
--         pool_tiers: ["1P=0.9%", "10P=0.8%"]  # from this hash rate of the pool on (an hour's average)
--         donate: 10%                          # of the fee
--         donate_to: ltc1qcharity
--         fee_to: ltc1qpool                    # gets the rest of the pool's fee, where a part of it is given away
--         vip: [ltc1qexample]                  # accounts that pay vip_rate
--         vip_rate: 0.5%
--         tiers: ["1T=0.9%", "10T=0.8%"]       # from this hash rate of the account on
--         donations: ["ltc1qkind=2%"]          # this account gives so much more
---@diagnostic disable-next-line: lowercase-global
options = {
  rate = {type = "rate", help = "the pool's fee, in place of the settings'"},
  pool_tiers = {type = "list", help = "HASHRATE=RATE: from this hash rate of the pool on its fee is this"},
  donate = {type = "rate", default = "0%", max = 1000000, help = "part of the pool's fee that goes to donate_to"},
  vip = {type = "list", help = "accounts that pay vip_rate"},
  vip_rate = {type = "rate", default = "0.5%", help = "what a VIP pays"},
  tiers = {type = "list", help = "HASHRATE=RATE: from this hash rate of an account on its fee is this"},
  donations = {type = "list", help = "ACCOUNT=RATE: this account gives so much beside its fee"},
  donate_to = {type = "text", default = "", help = "address that gets donations"},
  fee_to = {type = "text", default = "", help = "address that gets the rest of the pool's fee, where `donate` is set"},
  valid = {type = "duration", default = "10m", help = "how long an answer holds"},
}

local unit = {k = 1e3, M = 1e6, G = 1e9, T = 1e12, P = 1e15, E = 1e18}

-- "10T" or "2500": hashes a second.
local function hashrate(text)
  local last = text:sub(-1)
  local n = tonumber(unit[last] and text:sub(1, -2) or text)
  if not n or n < 0 then error("'" .. text .. "' is no hash rate, as in 10T", 0) end
  return n * (unit[last] or 1)
end

-- "0.8%": parts per million. Text, for the list of tiers is one of texts.
local function rate(text)
  local n = text:ends("%") and tonumber(text:sub(1, -2))
  if not n or n < 0 or n > 100 then error("'" .. text .. "' is no rate, as in 0.8%", 0) end
  return math.floor(n * 10000 + 0.5)
end

local function pair(text, what)
  local parts = text:split("=")
  if #parts ~= 2 then error("'" .. text .. "' is not " .. what, 0) end
  return parts[1]:trim(), parts[2]:trim()
end

-- The highest first.
local function tiers(list)
  local made = {}
  for _, text in ipairs(list or {}) do
    local from, ppm = pair(text, "HASHRATE=RATE")
    table.insert(made, {from = hashrate(from), ppm = rate(ppm)})
  end
  table.sort(made, function(a, b) return a.from > b.from end)
  return made
end

-- The lists of the options as tables, made once.
local known, lists
local function tables()
  if known == options then return lists end
  lists = {vip = {}, tiers = tiers(options.tiers), pool_tiers = tiers(options.pool_tiers), donations = {}}
  for _, account in ipairs(options.vip or {}) do lists.vip[account] = true end
  for _, text in ipairs(options.donations or {}) do
    local account, ppm = pair(text, "ACCOUNT=RATE")
    lists.donations[account] = rate(ppm)
  end
  known = options
  return lists
end

local function find(list, speed)
  for _, tier in ipairs(list) do
    if speed >= tier.from then return tier.ppm end
  end
  return nil
end

-- What of the pool's fee goes to donate_to, and the rest.
local function split(share)
  return {
    {address = options.donate_to, ppm = share},
    {address = options.fee_to, ppm = 1000000 - share},
  }
end

local function of_pool(a, t)
  local ppm = find(t.pool_tiers, a.hashrate_1h)
  local why = ppm and "by the pool's hash rate" or "the policy's rate"
  ppm = ppm or options.rate
  if options.donate == 0 then
    return ppm and {ppm = ppm, valid = options.valid, reason = why} or nil
  end
  return {ppm = ppm or a.yaml_ppm, valid = options.valid, reason = why, recipients = split(options.donate)}
end

-- An account's fee and why, or nil.
local function own(a, t)
  if t.vip[a.account] then return options.vip_rate, "VIP" end
  local ppm = find(t.tiers, a.hashrate_1h)
  if ppm then return ppm, "by hash rate" end
  return options.rate, "the policy's rate"
end

local function of_account(a, t)
  local ppm, why = own(a, t)
  local gift = t.donations[a.account]
  if not gift then
    return ppm and {ppm = ppm, valid = options.valid, reason = why} or nil
  end
  ppm = ppm or a.yaml_ppm
  -- Of more than the whole there is nothing to take.
  if ppm + gift > 1000000 then gift = 1000000 - ppm end
  if ppm + gift == 0 then return {ppm = 0, valid = options.valid, reason = why} end
  return {
    ppm = ppm + gift,
    valid = options.valid,
    reason = "with a donation that this account asked for",
    recipients = {{address = options.donate_to, ppm = gift * 1000000 // (ppm + gift)}},
  }
end

---@param a otedama.FeeIn
---@return otedama.Fee?
function fee(a)
  if a.account then return of_account(a, tables()) end
  return of_pool(a, tables())
end

function selftest()
  tables() -- the options as they are must be readable
  local given = options.donate > 0
  assert(not given or options.fee_to ~= "", "donate needs fee_to")
  given = given or options.donations and #options.donations > 0
  assert(not given or options.donate_to ~= "", "donations need donate_to")
  local saved = options
  options = {
    pool_tiers = {"1P=0.9%", "5P=0.7%"}, donate = 0, vip = {"v"}, vip_rate = 5000, tiers = {"1T=0.9%", "10T=0.8%"}, valid = 600,
    donations = {"kind=3%"}, donate_to = "d", fee_to = "f",
  }
  local function of(account, speed)
    return fee({pool = "p", asset = "TEST", account = account, yaml_ppm = 10000, max_ppm = 0,
                hashrate_10min = speed, hashrate_1h = speed, pool_hashrate_1h = 1, workers = 1, known_s = 1})
  end
  assert(of("x", 1e9) == nil, "a small miner pays what the settings say")
  assert(of("v", 1e9).ppm == 5000, "a VIP")
  assert(of("x", 1e12).ppm == 9000, "the first tier")
  assert(of("x", 2e13).ppm == 8000, "the second tier")
  assert(of(nil, 2e13) == nil, "the pool's own fee is the settings'")
  assert(of(nil, 1e15).ppm == 9000 and of(nil, 6e15).ppm == 7000, "by its hash rate")
  local gift = of("kind", 1e9)
  assert(gift.ppm == 40000, "one percent, and three given")
  assert(#gift.recipients == 1 and gift.recipients[1].address == "d" and gift.recipients[1].ppm == 750000)
  options = {donate = 100000, donate_to = "d", fee_to = "f", valid = 600}
  gift = of(nil, 1)
  assert(gift.ppm == 10000 and gift.recipients[1].ppm == 100000, "the settings' fee, a tenth of it given")
  assert(gift.recipients[2].address == "f" and gift.recipients[2].ppm == 900000, "and the rest")
  assert(not pcall(hashrate, "fast") and not pcall(rate, "1") and not pcall(pair, "a", "x"))
  options = saved
end
