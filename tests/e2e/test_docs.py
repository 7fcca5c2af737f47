"""The documents say what the tree does: links, commands, generated pages, tables copied from the code."""
import os
import re
import shlex
import subprocess
import sys

from pool import PROGRAM, ROOT


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def documents():
    r = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                       capture_output=True, text=True, check=True)
    return [f for f in r.stdout.split("\n") if f and os.path.exists(os.path.join(ROOT, f))]


def said_by(*argv):
    r = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert r.returncode == 0, f"{' '.join(argv)}: {r.stderr}"
    return r.stdout


def anchors(text):
    """The names by which headings are linked to."""
    heads = re.findall(r"^#+ +(.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


def without_code(text):
    """Fenced and indented blocks and inline code hold no links."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    text = "\n".join("" if x.startswith("    ") else x for x in text.split("\n"))
    return re.sub(r"`[^`\n]*`", "", text)


def code_lines(text):
    """Commands that a document prints: lines of its code blocks and its inline code."""
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S):
        yield from block.split("\n")
    yield from (x[4:] for x in text.split("\n") if x.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", text)


def test_every_link_leads_somewhere():
    wrong = []
    for doc in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(read(doc))):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            full = os.path.normpath(os.path.join(os.path.dirname(doc), path)) if path else doc
            if not os.path.exists(os.path.join(ROOT, full)):
                wrong.append(f"{doc}: {target}: there is no {full}")
            elif anchor and full.endswith(".md") and anchor not in anchors(read(full)):
                wrong.append(f"{doc}: {target}: {full} has no such heading")
    assert not wrong, "\n".join(wrong)


def test_every_file_that_is_named_exists():
    """Paths in inline code that begin with a folder of the tree."""
    wrong = []
    tops = "core|plugins|tests|tools|etc|bench|docs|cmake"
    for doc in documents():
        for path in re.findall(rf"`((?:{tops})/[\w./-]+)`", read(doc)):
            placeholder = re.search(r"(?<![A-Z])(NAME|KIND|ID|MODULE|COIN)(?![A-Z])", path)
            if not placeholder and not os.path.exists(os.path.join(ROOT, path)):
                wrong.append(f"{doc}: there is no {path}")
    assert not wrong, "\n".join(wrong)


def test_configuration_page_is_what_the_program_says():
    r = subprocess.run([sys.executable, os.path.join(ROOT, "docs", "gen_configuration.py"), "--check"], cwd=ROOT,
                       capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr


def test_mk_commands_exist():
    usage = said_by("./mk", "help")
    commands = set(re.findall(r"^  (\w+)", usage, re.M)) | {"help"}
    assert {"run", "test", "build"} <= commands, usage
    presets = set(re.findall(r'"name": "(\w+)", "inherits"', read("CMakePresets.json")))
    parts = set(re.search(r"lint unit[\w ]*", usage).group(0).split()) | {"arm64", "tsan"}
    for doc in documents():
        for line in code_lines(read(doc)):
            for word, rest in re.findall(r"\./mk (\w+)((?: [\w|]+)*)", line):
                assert word in commands, f"{doc}: './mk {word}' is not in ./mk help"
                allowed = {"test": parts, "build": presets, "setup": {"test", "arm64"}}.get(word)
                for x in rest.replace("|", " ").split() if allowed else []:
                    assert x in allowed, f"{doc}: './mk {word} {x}': there is no {x}"


def check_command(doc, line, nouns):
    """One printed command line of the program: its noun, its verb and its options are in --help."""
    for part in re.findall(r"(?:^|[\s;(])(?:build/)?otedama ((?:[a-z]+)\b[^;#)]*)", line):
        words = part.split()
        noun = words[0].strip(".,:")
        assert noun in nouns, f"{doc}: 'otedama {noun}' is not in otedama help: {line}"
        page = nouns[noun]
        for word in shlex.split(part, posix=False)[1:]:
            option = re.match(r"--?[a-z][\w-]*", word)
            if option:
                known = re.search(rf"(?:^|[\s,]){re.escape(option.group(0))}\b", page, re.M)
                assert known, f"{doc}: 'otedama {noun} {option.group(0)}' is not in its --help: {line}"
        if noun in ("config", "plugin", "ledger") and len(words) > 1:
            verbs = re.findall(r"(?:^|\| )([a-z]+)", re.search(r"usage: otedama \w+ (.*)", page).group(1))
            assert words[1].strip(".,:") in verbs, f"{doc}: 'otedama {noun} {words[1]}' is not in its --help"


def test_program_commands_exist():
    names = re.findall(r"^  otedama (\w+)", said_by(PROGRAM, "help"), re.M)
    assert "serve" in names
    nouns = {n: said_by(PROGRAM, n, "--help") for n in names}
    for noun, page in nouns.items():  # verbs with flags of their own
        for verb in re.findall(rf"^  otedama {noun} (\w+)", page, re.M):
            nouns[noun] += said_by(PROGRAM, noun, verb, "--help")
    nouns["help"] = "usage: otedama help"
    for doc in documents():
        if os.path.basename(doc) == "CHANGELOG.md":
            continue
        for line in code_lines(read(doc)):
            # What the program printed itself is not a command of it.
            if re.match(r"\s*(?:(?:build/)?otedama [a-z]|[$] )", line):
                check_command(doc, line, nouns)


def test_stratum_page_has_every_method_and_error():
    page = read("docs/stratum.md")
    methods = re.findall(r'\{"([\w.]+)", otd_v1_handle', read("core/stratum/v1/dialect.c"))
    assert len(methods) > 10
    for m in methods:
        assert f"`{m}`" in page, f"docs/stratum.md says nothing of {m}"
    errors = re.findall(r'= \{(\d+), "([^"]+)"\}', read("core/stratum/v1/write.c"))
    assert len(errors) == 9
    for code, text in errors:
        assert f"| {code} | `{text}` |" in page, f"docs/stratum.md has no row '| {code} | `{text}` |'"


def test_journal_page_has_every_record():
    page = read("docs/journal.md")
    header = read("core/pool/journal/record.h")
    records = re.findall(r"OTD_REC_(\w+) = (\d+)", header)
    sizes = dict(re.findall(r"sizeof\(struct otd_rec_(\w+)\) == (\d+)", header))
    assert len(records) == len(sizes) > 6
    for name, number in records:
        row = f"| {number} | `{name}` | {sizes[name.lower()]} |"
        assert row in page, f"docs/journal.md has no row '{row}'"


def test_every_plugin_has_a_page():
    r = subprocess.run(["git", "ls-files", "plugins/*.c"], cwd=ROOT, capture_output=True, text=True, check=True)
    folders = {os.path.dirname(f) for f in r.stdout.split()}
    assert len(folders) > 7
    for folder in sorted(f for f in folders if os.path.basename(f) != "common"):
        assert os.path.exists(os.path.join(ROOT, folder, "README.md")), f"{folder}/README.md is missing"
