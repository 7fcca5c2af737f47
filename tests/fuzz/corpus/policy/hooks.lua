options = {a = {type = "rate", default = "1%"}, b = {type = "list", default = {"x"}}, c = {type = "money"}}
local t = setmetatable({}, {__index = {x = 1}, __tostring = function() return "t" end})
function on_authorize(s) return {difficulty = s.start * 2, reason = string.format("%5d %s %q", 3, t, "x")} end
function on_offence(o) kv.incr("k", 60) kv.set("t", "text", "1h") return {action = "ban", scope = "ip", seconds = 60, reason = o.kind} end
function fee(a) local r = {} for k, v in pairs({b = 1, a = 2, [3] = 4}) do table.insert(r, k) end table.sort(r, function(a, b) return tostring(a) < tostring(b) end)
  return {ppm = options.a, valid = 60, recipients = {{address = ("x"):rep(5), ppm = 1000000}}} end
function review_payment(p) if (p.total * 2 // 3):ppm(500) > money("1 LTC") then return {action = "hold", reason = "x" .. p.total} end end
function selftest() assert(select("#", table.unpack({1, 2})) == 2 and ("a,b"):split(",")[2] == "b" and ("ab"):glob("a*")) xpcall(error, function(e) return e end, "x") end
