-- Payments: limits a run, a day and a recipient; lists of accounts that wait; minimums by account. What is beyond
-- a limit is held for a person ('otedama payment release ID'), never dropped.
--
--   policies:
--     - file: scripts/lua/payments.lua
--       options:
--         largest: 50 LTC               # to one recipient
--         run: 500 LTC                  # of one payment
--         day: 2000 LTC                 # within 24 hours
--         reserve: 10 LTC               # stays in the wallet
--         hold: ["ltc1qodd=asked for papers"]
--         minimum: ["ltc1qsmall=1 LTC"]
---@diagnostic disable-next-line: lowercase-global
options = {
  largest = {type = "money", help = "most to one recipient"},
  run = {type = "money", help = "most of one payment"},
  day = {type = "money", help = "most within 24 hours, this payment among it"},
  reserve = {type = "money", help = "what stays in the wallet"},
  recipients = {type = "int", default = 2000, min = 1, max = 2000, help = "most recipients of one payment"},
  hold = {type = "list", help = "ACCOUNT=REASON: not paid until it is off the list"},
  minimum = {type = "list", help = "ACCOUNT=AMOUNT: paid from this on"},
}

local function pair(text)
  local at = text:find("=")
  if not at or at == 1 or at == #text then error("'" .. text .. "' has no ACCOUNT=VALUE", 0) end
  return text:sub(1, at - 1):trim(), text:sub(at + 1):trim()
end

local known, lists
local function tables()
  if known == options then return lists end
  lists = {hold = {}, minimum = {}}
  for _, text in ipairs(options.hold or {}) do
    local account, reason = pair(text)
    lists.hold[account] = reason
  end
  for _, text in ipairs(options.minimum or {}) do
    local account, amount = pair(text)
    lists.minimum[account] = money(amount)
  end
  known = options
  return lists
end

local function hold(reason)
  return {action = "hold", reason = reason}
end

-- A limit counts for its own coin only: pools of several coins may share this script.
local function over(amount, limit)
  return limit and limit:asset() == amount:asset() and amount > limit
end

---@param a otedama.TermsIn
---@return otedama.Terms?
function payout_terms(a)
  local t = tables()
  local why = t.hold[a.account]
  if why then return {hold = true, reason = why} end
  local minimum = t.minimum[a.account]
  if minimum and minimum:asset() == a.asset then return {minimum = minimum} end
  return nil
end

---@param p otedama.PaymentIn
---@return otedama.Payment?
function review_payment(p)
  local t = tables()
  if over(p.largest, options.largest) then
    return hold(p.largest .. " to one recipient, the limit is " .. options.largest)
  end
  if over(p.total, options.run) then
    return hold(p.total .. " in one payment, the limit is " .. options.run)
  end
  if options.day and options.day:asset() == p.asset then
    if p.paid_24h:sign() < 0 then return hold("what was paid in 24 hours is not known") end
    if p.paid_24h + p.total > options.day then
      return hold((p.paid_24h + p.total) .. " within 24 hours, the limit is " .. options.day)
    end
  end
  if options.reserve and options.reserve:asset() == p.asset and p.balance:sign() >= 0
     and p.balance - p.total < options.reserve then
    return hold("the wallet would go below " .. options.reserve)
  end
  if #p.parts > options.recipients then
    return hold(#p.parts .. " recipients, the limit is " .. options.recipients)
  end
  for _, part in ipairs(p.parts) do
    local why = part.account and t.hold[part.account]
    if why then return hold(part.account:sub(1, 40) .. " is on hold: " .. why) end
  end
  return {action = "pay"}
end

function selftest()
  tables()
  local saved = options
  options = {
    largest = money("5 TEST"), run = money("20 TEST"), day = money("50 TEST"), reserve = money("1 TEST"),
    recipients = 3, hold = {"odd=papers"}, minimum = {"small=1 TEST"},
  }
  local function m(n) return money(n .. " TEST") end
  local function review(more)
    local p = {pool = "p", asset = "TEST", total = m(10), largest = m(4), balance = m(100), paid_24h = m(0),
               dry_run = false, parts = {{account = "a", address = "a", amount = m(4)}}}
    for k, v in pairs(more) do p[k] = v end
    return review_payment(p)
  end
  assert(review({}).action == "pay")
  assert(review({largest = m("5.00000001")}).action == "hold")
  assert(review({total = m(21)}).action == "hold")
  assert(review({paid_24h = m(41)}).action == "hold")
  assert(review({paid_24h = m(40)}).action == "pay")
  assert(review({paid_24h = money(-1, "TEST")}).action == "hold")
  assert(review({balance = m("10.9")}).action == "hold")
  assert(review({balance = money(-1, "TEST")}).action == "pay", "a balance that is not known is no reason")
  assert(review({parts = {{}, {}, {}, {}}}).action == "hold")
  assert(review({parts = {{account = "odd", address = "odd", amount = m(1)}}}).reason == "odd is on hold: papers")
  local function terms(account)
    return payout_terms({pool = "p", asset = "TEST", account = account, balance = m(2), minimum = m("0.1"),
                         least = m("0.01"), most = m(0), last_paid_s = -1, known_s = 1})
  end
  assert(terms("a") == nil and terms("odd").hold and terms("small").minimum == m(1))
  options = saved
end
