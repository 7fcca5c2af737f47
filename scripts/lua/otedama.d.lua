---@meta otedama
-- What a policy script of Otedama has, for the Lua language server (LuaLS) and whatever else reads its
-- annotations: put this folder into `workspace.library`, and set `runtime.version` to "Lua 5.4" with all of
-- the `runtime.builtin` libraries on "disable" but for basic, string, table and math. The pool does not load it.
-- docs/policy-api.md tells what each thing means.

--- An amount of one coin, in base units of 128 bits. Amounts of two coins never meet; products are rounded down.
---@class otedama.Money
---@operator add(otedama.Money): otedama.Money
---@operator sub(otedama.Money): otedama.Money
---@operator mul(integer): otedama.Money
---@operator idiv(integer): otedama.Money
---@operator unm: otedama.Money
local money_methods = {}
---@return string symbol # "LTC"
function money_methods:asset() end
--- So many parts per million of it, rounded down.
---@param n integer
---@return otedama.Money
function money_methods:ppm(n) end
---@return -1|0|1
function money_methods:sign() end
--- Base units: an integer where they fit into one, else a text.
---@return integer|string
function money_methods:units() end

--- money("0.5 LTC"), or money(50000000, "LTC") of base units.
---@param amount string|integer
---@param symbol? string
---@return otedama.Money
function money(amount, symbol) end

--- What is declared in `options` before the script runs; what the settings say from then on.
---@class otedama.Option
---@field type "bool"|"int"|"text"|"choice"|"duration"|"size"|"rate"|"list"|"money"
---@field default? string|integer|boolean|string[]
---@field help? string
---@field min? integer # of duration in seconds, of text in bytes, of list in items
---@field max? integer
---@field choices? string[] # of choice
---@field required? boolean

---@type table<string, any>
options = {}

--- Seconds since 1970.
---@return integer
function time() end
--- Seconds of a time as the settings write it: seconds("10m") is 600.
---@param t string|integer
---@return integer
function seconds(t) end

--- A line in the pool's log, of at most 200 bytes; 16 a call.
---@param level "info"|"warn"|string # or the text, where it is alone
---@param text? any
function log(level, text) end
--- For people: the log, and where the pool tells of alerts.
---@param text any
function notify(text) end
--- The newest value of an outside source, and its age in seconds; nil where there is none.
---@param name string
---@return number|string|nil value
---@return integer? age
function feed(name) end

---@alias otedama.Scope "worker"|"account"|"ip"|"prefix"

--- Bans from now on. At most 4 a call, each for at most 30 days.
---@param scope otedama.Scope
---@param what string # "POOL/ADDRESS.NAME", "POOL/ADDRESS", "10.1.2.3", "10.1.0.0/16"
---@param for_s integer|string # seconds, or "1h"
---@param reason string # the miner is told it
---@return boolean ok
---@return string? why
function ban(scope, what, for_s, reason) end
--- Undoes a ban that a script has set.
---@param scope otedama.Scope
---@param what string
---@return boolean ok
---@return string? why
function unban(scope, what) end
--- A label of at most 32 bytes, for status.
---@param scope otedama.Scope
---@param what string
---@param label string
---@param for_s integer|string
function tag(scope, what, label, for_s) end

metric = {}
--- Adds to the counter otd_policy_script_events_total{script,name}.
---@param name string
---@param n? integer # 1
function metric.add(name, n) end
--- Sets otd_policy_script_value{script,name}.
---@param name string
---@param value integer
function metric.set(name, value) end

--- What this script remembers. It outlives a reload and a restart.
kv = {}
---@param key string # at most 128 bytes
---@return integer|string|nil
function kv.get(key) end
---@param key string
---@param value integer|string|nil # a text of at most 1024 bytes; nil takes it out
---@param for_s? integer|string # needed where there is a value
---@return boolean ok # false: there is no room
---@return string? why
function kv.set(key, value, for_s) end
--- Adds to a number; one that is new begins at 0 and lives for_s, one that is there keeps its time.
---@param key string
---@param for_s integer|string
---@param by? integer # 1
---@return integer? # nil: there is no room
function kv.incr(key, for_s, by) end

--- Whether s fits a pattern of which * is any bytes and ? one.
---@param s string
---@param pattern string
---@return boolean
function string.glob(s, pattern) end
---@param s string
---@param with string
---@return boolean
function string.starts(s, with) end
---@param s string
---@param with string
---@return boolean
function string.ends(s, with) end
---@param s string
---@param sep string
---@return string[]
function string.split(s, sep) end
---@param s string
---@return string
function string.trim(s) end

-- The hooks. Each takes a table and gives a table, or nil: the pool then does as it would without the script.

---@class otedama.ConnectIn
---@field pool string
---@field host string # numeric address
---@field port integer
---@field connections integer # from this address, this one among them
---@field sessions integer # of this reactor
---@field tls boolean

---@class otedama.Connect
---@field action? "allow"|"refuse"
---@field reason? string # needed to refuse

---@param s otedama.ConnectIn
---@return otedama.Connect?
function on_connect(s) end

---@class otedama.AuthorizeIn
---@field pool string
---@field host string
---@field port integer
---@field account string
---@field worker string
---@field agent? string
---@field scheme? string
---@field connections integer
---@field workers integer # of this account, connected to this reactor, this one among them
---@field start number # difficulty
---@field min number
---@field max number

---@class otedama.Authorize
---@field action? "allow"|"refuse"
---@field difficulty? number # to start with; moved between min and max
---@field reason? string

---@param s otedama.AuthorizeIn
---@return otedama.Authorize?
function on_authorize(s) end

---@class otedama.DifficultyIn
---@field pool string
---@field host string
---@field port integer
---@field account? string
---@field worker? string
---@field agent? string
---@field min number
---@field max number
---@field start number
---@field current number # in force now
---@field wanted number # what the pool would set
---@field suggested? number # what the miner asked for
---@field aim_ms integer # a share
---@field shares integer # since the last change
---@field window_ms integer # in so long
---@field connected_s integer

---@class otedama.Difficulty
---@field difficulty? number
---@field fixed? boolean # the pool does not steer it any more
---@field reason? string

---@param s otedama.DifficultyIn
---@return otedama.Difficulty?
function difficulty(s) end

---@class otedama.OffenceIn
---@field kind "malformed"|"stale"|"duplicate"|"low_difficulty"|"unauthorized"|"invalid"|"flood"|"handshake"
---@field pool string
---@field host string
---@field port integer
---@field account? string # nil: it has not said who it is
---@field worker? string
---@field agent? string
---@field count integer # of this kind in the window
---@field window_s integer
---@field accepted integer # shares of this worker in the window
---@field refused integer # of any kind
---@field host_workers integer # others with accepted shares from this address
---@field host_accepted integer # shares from this address
---@field connections integer # from this address now

---@class otedama.Offence
---@field action? "none"|"warn"|"raise"|"drop"|"ban"
---@field scope? otedama.Scope # of a ban
---@field seconds? integer # of a ban, at most 30 days
---@field reason? string # needed to warn, drop and ban

---@param o otedama.OffenceIn
---@return otedama.Offence?
function on_offence(o) end

---@class otedama.FeeIn
---@field pool string
---@field asset string
---@field account? string # nil: the fee of the pool
---@field yaml_ppm integer # of the settings
---@field max_ppm integer
---@field hashrate_10min number # hashes a second
---@field hashrate_1h number
---@field pool_hashrate_1h number
---@field workers integer
---@field known_s integer # since the account's first share; 0: of the pool

---@class otedama.Recipient
---@field address string
---@field ppm integer # of the fee; all of the pool's are 1000000 together, an account's at most

---@class otedama.Fee
---@field ppm? integer
---@field valid? integer # seconds, 10 to 86400
---@field recipients? otedama.Recipient[] # at most 8
---@field reason? string # needed where it is more than the settings say

---@param a otedama.FeeIn
---@return otedama.Fee?
function fee(a) end

---@class otedama.TermsIn
---@field pool string
---@field asset string
---@field account string
---@field balance otedama.Money
---@field minimum otedama.Money # of the settings
---@field least otedama.Money # an answer is moved between these two
---@field most otedama.Money # zero: there is no upper bound
---@field last_paid_s integer # ago; -1: never
---@field known_s integer

---@class otedama.Terms
---@field minimum? otedama.Money
---@field hold? boolean # not paid now
---@field reason? string # needed to hold

---@param a otedama.TermsIn
---@return otedama.Terms?
function payout_terms(a) end

---@class otedama.Part
---@field account? string # nil: a part of the pool's fee
---@field address string
---@field amount otedama.Money

---@class otedama.PaymentIn
---@field pool string
---@field asset string
---@field total otedama.Money
---@field largest otedama.Money
---@field balance otedama.Money # of the wallet; negative: not known
---@field paid_24h otedama.Money # negative: not known
---@field dry_run boolean
---@field parts otedama.Part[] # at most 2000

---@class otedama.Payment
---@field action? "pay"|"hold"|"reject"
---@field reason? string # needed to hold and reject

---@param p otedama.PaymentIn
---@return otedama.Payment?
function review_payment(p) end

---@class otedama.BlockIn
---@field pool string
---@field asset string
---@field state "found"|"accepted"|"confirming"|"mature"|"orphaned"
---@field height integer
---@field hash string
---@field account? string
---@field worker? string
---@field scheme? string
---@field value otedama.Money
---@field fee otedama.Money
---@field effort_ppm integer
---@field confirmations integer

---@param b otedama.BlockIn
function on_block(b) end

---@class otedama.NodeIn
---@field pool string
---@field node string
---@field coin string
---@field up boolean
---@field in_use boolean
---@field syncing boolean
---@field height integer
---@field latency_ms integer
---@field error? string

---@param n otedama.NodeIn
function on_node(n) end

---@class otedama.MinuteIn
---@field pool string
---@field asset string
---@field sessions integer
---@field workers integer
---@field accepted integer # shares of the last minute
---@field refused integer
---@field hashrate_10min number
---@field hashrate_1h number
---@field network_work number # hashes a block; 0: not known
---@field effort_ppm integer
---@field height integer
---@field nodes_up integer
---@field nodes integer
---@field blocks_waiting integer
---@field payments_waiting integer

---@param w otedama.MinuteIn
function on_minute(w) end

---@class otedama.Candidate
---@field pool string
---@field coin string
---@field asset string
---@field block_value otedama.Money
---@field network_work number
---@field value_micro integer # of an hour's work, in millionths of the unit that all share; -1: not known
---@field up boolean

---@class otedama.CoinsIn
---@field pool string # chosen now
---@field candidates otedama.Candidate[]
---@field since_s integer

---@class otedama.Coins
---@field pool? string
---@field hold? integer # seconds until it is asked again
---@field reason? string

--- Not called by this version.
---@param g otedama.CoinsIn
---@return otedama.Coins?
function choose_coin(g) end

---@class otedama.TrustIn
---@field pool string
---@field account string
---@field known_s integer
---@field accepted integer
---@field refused integer
---@field hashrate_1h number
---@field blocks integer
---@field last_ppm integer

---@class otedama.Trust
---@field ppm? integer
---@field reason? string # needed for less than before

--- Not called by this version.
---@param a otedama.TrustIn
---@return otedama.Trust?
function trust(a) end

--- Runs before the script comes in force; an error keeps it out.
---@return boolean? # false is one too
function selftest() end
