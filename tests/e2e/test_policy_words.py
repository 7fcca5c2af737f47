"""The words of hooks: what the program hands in and reads, what the annotation file says, and what the reference says are the
same, word by word; and a running pool fills each of them."""
import os
import re

from devnet import SHARE, verified
from pool import ROOT, address, wait_for
from test_policy import WALLET, ask, logged_in, paying, ripe, stale, status

# Hook, what its tables in hook_tables.c are called.
HOOKS = {"on_connect": "connect", "on_authorize": "authorize", "difficulty": "difficulty", "on_offence": "offence", "fee": "fee",
         "payout_terms": "terms", "review_payment": "payment", "on_block": "block", "on_node": "node", "on_minute": "minute",
         "choose_coin": "coins", "trust": "trust"}
TELLS = {"on_block", "on_node", "on_minute"}  # nothing comes back
NOT_CALLED = {"choose_coin": "coins", "trust": "trust"}
# What stands in backticks of a hook's part of the reference and is no member of it.
OTHER_WORDS = {"nil", "true", "a", "s", "o", "p", "b", "n", "w", "g", "recipients", "valid", "reason"}


def text(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def table(name):
    """{word that Lua sees: (words of a choice, its own table)} of one list of members, as the program has it."""
    source = text("core", "policy", "hook_tables.c")
    body = re.search(r"static const struct field %s\[\] = \{\n(.*?)\n\};" % name, source, re.S)
    if not body:
        return {}
    found = {}
    for m in re.finditer(r"IN\(\w+,\s*(\w+),\s*FIELD_\w+\)|(?:WORK|TARGET)\(\w+,\s*(\w+),\s*(NULL|\"\w*\")|"
                         r"\{\.name = \"(\w+)\",(.*?)\}", body.group(1), re.S):
        plain, member, shown, made, rest = m.groups()
        words, sub = (), None
        if made:
            lua = re.search(r"\.lua = \"(\w*)\"", rest)
            plain = lua.group(1) if lua else made
            choice = re.search(r"\.words = (\w+)", rest)
            words = choices(source, choice.group(1)) if choice else ()
            sub = re.search(r"\.sub = &(\w+)", rest)
        elif member:
            plain = member if shown == "NULL" else shown.strip('"')
        if plain:
            found[plain] = (words, sub and sub.group(1))
    assert found, name
    return found


def choices(source, name):
    return tuple(re.findall(r"\"(\w+)\"", re.search(r"%s\[\] = \{(.*?)\}" % name, source, re.S).group(1)))


SUBS = {"recipients": "recipient_out", "parts": "part_in", "candidates": "candidate_in"}


class Notes:
    """otedama.d.lua: {class: {field: (type, optional)}} and {hook: (class in, class out or None)}."""

    def __init__(self):
        self.classes, self.hooks = {}, {}
        at, takes, gives = None, None, None
        for line in text("scripts", "lua", "otedama.d.lua").splitlines():
            if m := re.match(r"---@class otedama\.(\w+)", line):
                at = self.classes.setdefault(m.group(1), {})
            elif m := re.match(r"---@field (\w+)(\??) (\S+)", line):
                assert m.group(1) not in at, f"{m.group(1)} stands twice"
                at[m.group(1)] = (m.group(3), bool(m.group(2)))
            elif m := re.match(r"---@param \w+ otedama\.(\w+)$", line):
                takes = m.group(1)
            elif m := re.match(r"---@return otedama\.(\w+)\?$", line):
                gives = m.group(1)
            elif m := re.match(r"function (\w+)\(\w+\) end", line):
                if m.group(1) in HOOKS:
                    self.hooks[m.group(1)] = (takes, gives)
                takes = gives = None


def same(hook, what, program, notes):
    assert set(program) == set(notes), (f"{hook}, {what}: only the program has {sorted(set(program) - set(notes))}, "
                                        f"only the annotations have {sorted(set(notes) - set(program))}")


def test_annotations_are_what_the_program_has():
    notes = Notes()
    assert set(notes.hooks) == set(HOOKS), set(notes.hooks) ^ set(HOOKS)
    listed = re.findall(r"^\t\[OTD_HOOK_(\w+)\]", text("core", "policy", "hook_tables.c"), re.M)
    assert len(listed) == len(HOOKS), listed
    for hook, name in HOOKS.items():
        takes, gives = notes.hooks[hook]
        into, out = table(name + "_in"), table(name + "_out")
        same(hook, "in", into, notes.classes[takes])
        assert (gives is None) == (hook in TELLS) and bool(out) == (hook not in TELLS), hook
        if gives:
            same(hook, "out", {**out, "reason": ((), None)}, notes.classes[gives])
            assert all(optional for _, optional in notes.classes[gives].values()), f"{hook}: an answer names what it wants"
        for fields, cls in ((into, takes), (out, gives)):
            for word, (words, sub) in fields.items():
                kind = notes.classes[cls][word][0]
                if sub:
                    same(hook, word, table(SUBS[sub]), notes.classes[re.match(r"otedama\.(\w+)\[\]", kind).group(1)])
                if words and not kind.startswith("otedama."):
                    assert set(re.findall(r"\"(\w+)\"", kind)) == set(words), (hook, word, kind, words)


def sections():
    """{hook: its part of the reference}"""
    found = {}
    for part in re.split(r"^###? ", text("docs", "policy-api.md"), flags=re.M):
        head, _, body = part.partition("\n")
        for hook in HOOKS:
            if re.search(r"\b%s\(\w\)" % hook, head):
                found[hook] = body
    return found


def test_the_reference_is_what_the_program_has():
    parts = sections()
    assert set(parts) == set(HOOKS), set(parts) ^ set(HOOKS)
    for hook, name in HOOKS.items():
        known, ours = set(), set()
        for other, its in HOOKS.items():
            if parts[other] != parts[hook]:
                continue  # told of in one part
            for fields in (table(its + "_in"), table(its + "_out")):
                for word, (words, sub) in fields.items():
                    more = {word, *(table(SUBS[sub]) if sub else ())}
                    known |= more | set(words)
                    ours |= more if its == name else set()
                    ours |= set(words) if its == name and word != "scope" else set()
        told = set()
        for code in re.findall(r"`([^`]+)`", parts[hook]):
            if re.fullmatch(r"[a-z0-9_]+(\s[a-z0-9_]+)*", code):
                told |= set(code.split())
        assert not ours - told, f"docs/policy-api.md does not say {sorted(ours - told)} of {hook}"
        strange = told - known - OTHER_WORDS - set(HOOKS) - {"least", "otedama", "set"}
        strange = {w for w in strange if not re.search(r"`[^`]*otedama [^`]*\b%s\b[^`]*`" % w, parts[hook])}
        assert not strange, f"docs/policy-api.md says {sorted(strange)} of {hook}, and the program has nothing of it"


def test_who_is_not_called():
    """Two hooks have nobody who asks: both texts say so, and it is so."""
    asked = set()
    for folder, _, names in os.walk(os.path.join(ROOT, "core")):
        if os.path.basename(folder) == "policy" and os.path.dirname(folder) == os.path.join(ROOT, "core"):
            continue
        for name in names:
            if name.endswith(".c") and name not in ("cmd_policy.c", "cmd_policy_events.c"):
                source = text(os.path.relpath(os.path.join(folder, name), ROOT))
                asked |= {h for h, n in HOOKS.items() if re.search(r"\botd_policy_%s (?:\w+ )?in =" % n, source)}
    assert set(HOOKS) - asked == set(NOT_CALLED), (set(HOOKS) - asked) ^ set(NOT_CALLED)
    notes, parts = text("scripts", "lua", "otedama.d.lua"), sections()
    for hook in HOOKS:
        before = notes[:notes.index(f"function {hook}(")].rsplit("\n\n", 1)[1]
        assert ("Not called by this version" in before) == (hook in NOT_CALLED), hook
        assert ("Not called by this version" in parts[hook]) == (hook in NOT_CALLED), hook


# --- in a running pool ---

LUA = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "otedama.Money": "money"}


def checks(notes, cls):
    """Lua that fails where a member is missing, of another type, or one that nobody has written down."""
    lines = []
    for word, (kind, optional) in notes.classes[cls].items():
        if kind.endswith("[]"):
            item = kind[len("otedama."):-2]
            lines.append(f'assert(type(t.{word}) == "table", "{word}") for _, x in ipairs(t.{word}) do of_{item}(x) end')
            continue
        want = LUA.get(kind, "string")
        none = f"t.{word} == nil or " if optional else ""
        lines.append(f'assert({none}type(t.{word}) == "{want}", "{word} is a " .. type(t.{word}))')
    known = ", ".join(f"{w} = true" for w in notes.classes[cls])
    lines.append(f'local known = {{{known}}} for k in pairs(t) do assert(known[k], k .. " is not written down") end')
    return f"local function of_{cls}(t)\n" + "\n".join(lines) + "\nend\n"


def witness(notes):
    out = checks(notes, "Part")
    for hook, (takes, _) in notes.hooks.items():
        if hook in NOT_CALLED:
            continue
        out += checks(notes, takes) + f"function {hook}(t) of_{takes}(t) end\n"
    return out


def test_a_pool_fills_them_all():
    """A script that stops at whatever is missing or too much sees each hook, and stops at nothing."""
    notes, user = Notes(), address(46)
    with paying(witness(notes)) as pool:
        pool.write(pool.text.replace("bcrt1q3jzz8hqjs2nxnaweuge6lsxjca3kwr0kdkgd3d", WALLET)
                   .replace(f"max: {SHARE}, vardiff: false", "max: 1, vardiff: true"))
        pool.start()
        c = logged_in(pool, user + ".x")
        stale(c, 5)
        c.send("mining.suggest_difficulty", [1])
        ripe(pool, (user,))
        ask(pool, "run", "dev")

        def calls():
            seen = {}
            for t in status(pool)["threads"]:
                for s in t["scripts"]:
                    assert not s["last_error"], s["last_error"]
                    for hook, h in s["hooks"].items():
                        assert h["errors"] == 0, (hook, h)
                        seen[hook] = seen.get(hook, 0) + h["calls"]
            return seen
        wait_for(lambda: all(calls().get(h) for h in HOOKS if h not in NOT_CALLED), 60, about="a call of each hook")
        c.close()
        assert pool.stop() == 0
        verified(pool)
