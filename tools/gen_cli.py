#!/usr/bin/env python3
"""The manual page and the shell completion, made from what the program says of itself.

  tools/gen_cli.py man PROGRAM     otedama(1), roff, on standard output
  tools/gen_cli.py bash PROGRAM    completion for bash (and for zsh by bashcompinit)

The source is `otedama help` and `COMMAND --help`: a command or flag that is added there is in both.
"""
import re
import subprocess
import sys


def run(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, timeout=60).stdout


class Flag:
    def __init__(self, letter, name, value, text):
        self.letter, self.name, self.value, self.text = letter, name, value, text


class Command:
    """One command by its --help: usage, one line, paragraphs, flags, and the words that may come first."""

    def __init__(self, name, text):
        lines = text.rstrip("\n").split("\n")
        usage = re.match(rf"usage: otedama {name}(?: (.*))?$", lines[0])
        if not usage:
            raise SystemExit(f"{name} --help begins with: {lines[0]}")
        self.name, self.usage, self.summary = name, usage.group(1) or "", lines[1]
        self.more, self.flags = [], []
        end = next(i for i in range(len(lines) - 1, -1, -1) if lines[i] == "")
        self.more = "\n".join(lines[2:end]).strip("\n").split("\n") if end > 2 else []
        for line in lines[end + 1:]:
            m = re.match(r"  (?:-(\w), |    )?(--[\w-]+)(?: (\S+))?\s+(.*)$", line)
            if not m:
                raise SystemExit(f"{name} --help has the flag: {line}")
            self.flags.append(Flag(*m.groups()))
        self.verbs, self.takes = self.words()

    def words(self):
        """(words that may stand first, what kinds of files stand behind: "file", "dir")."""
        verbs, takes, bare = [], set(), self.usage
        if re.search(r"\bVERB\b", bare):  # they stand below, each with its form
            verbs += [m.group(1) for x in self.more if (m := re.match(r"  ([a-z]+)\b.*  ", x))]
        for group in re.findall(r"\[([^][]*)\]", bare):
            parts = [x.strip() for x in group.split("|")]
            if all(re.fullmatch(r"[a-z]+", x) for x in parts):
                verbs += parts
        while re.search(r"\[[^][]*\]", bare):
            bare = re.sub(r"\[[^][]*\](\.\.)?", " ", bare)
        for part in bare.split("|"):
            part = re.sub(r"(?<!\S)--?\w[\w-]* [A-Z]\S*", " ", part)  # flags with their values
            words = part.split()
            if words and re.fullmatch(r"[a-z]+", words[0]):
                verbs.append(words[0])
            takes |= {"dir" for x in words if x == "DIR"} | {"file" for x in words if re.match(r"FILE(\.|$)", x)}
        return sorted(set(verbs)), takes


def commands(program):
    """Every command; verbs that have flags of their own (`plugin new`) stand behind theirs."""
    out = []
    for name in re.findall(r"^  otedama (\S+)\s", run(program, "help"), re.M):
        text = run(program, name, "--help")
        verbs = re.findall(rf"^  otedama {name} (\S+)\s", text, re.M)
        out.append(Command(name, text))
        out += [Command(f"{name} {v}", run(program, name, v, "--help")) for v in verbs]
    return out


# --- the manual page ---

def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def man(program):
    all_commands = commands(program)
    version = run(program, "--version").split()[1]
    out = [f'.TH OTEDAMA 1 "" "otedama {version}" "User Commands"', ".nh", ".ad l", ".SH NAME", "otedama \\- a mining\\-pool server",
           ".SH SYNOPSIS"]
    for c in all_commands:
        out += [f".B otedama {c.name}", roff(c.usage), ".br"]
    out += [".SH DESCRIPTION",
            "Otedama serves miners over Stratum, keeps what they earn in a double\\-entry ledger, and hands found "
            "blocks to its nodes.", "One YAML file says what it does:",
            ".B otedama config check \\-c FILE", "says what is wrong with it,", ".B otedama config schema",
            "lists every key.", ".SH COMMANDS"]
    for c in all_commands:
        out += [f".SS {c.name}", f".B otedama {c.name}", roff(c.usage), ".PP", roff(c.summary[0].upper() + c.summary[1:]) + "."]
        if c.more:
            out += [".PP", ".nf", *[roff(x) if x else ".sp" for x in c.more], ".fi"]
        for f in c.flags:
            left = (f"\\-{f.letter}, " if f.letter else "") + roff(f.name)
            out += [".TP", f"\\fB{left}\\fR" + (f" \\fI{roff(f.value)}\\fR" if f.value else ""), roff(f.text)]
    out += [".SH EXIT STATUS", ".TP", "0", "It did what it was asked.", ".TP", "1", "It failed; one line on standard "
            "error says what, where and what to do.", ".TP", "2", "It was used wrongly.",
            ".SH SIGNALS", ".TP", "SIGTERM, SIGINT", "Drains: what was received is answered and committed, then it ends. "
            "A second one ends at once.", ".TP", "SIGHUP", "Reads the configuration again.", ".TP", "SIGUSR1",
            "Opens the log file again.",
            ".SH ENVIRONMENT", ".TP", "NOTIFY_SOCKET, WATCHDOG_USEC", "Where a service manager is told of start, reload, "
            "end and life; see sd_notify(3).", ".TP", "JOURNAL_STREAM", "Set by journald: lines of the log then bear a "
            "priority and no time.",
            ".SH FILES", ".TP", ".I /etc/otedama/*.yaml", "Configurations; coins in",
            ".IR coins/ .", ".TP", ".I /var/lib/otedama", "Database, journals, found blocks, control socket.",
            ".SH SEE ALSO", ".BR systemctl (1),", ".BR journalctl (1),", "and the pages in",
            ".IR /usr/share/doc/otedama ."]
    return "\n".join(out) + "\n"


# --- completion ---

def nouns(all_commands):
    """Completion knows the first word alone: the flags of its verbs are its own."""
    out = {}
    for c in all_commands:
        noun = c.name.split()[0]
        if c.name == noun:
            out[noun] = c
        else:
            have = {f.name for f in out[noun].flags}
            out[noun].flags += [f for f in c.flags if f.name not in have]
            out[noun].takes = out[noun].takes | c.takes
    return list(out.values())


FILES = {"FILE": "file", "FILE.so": "file", "PATH": "file", "DIR": "dir"}


def bash(program):
    all_commands = nouns(commands(program))
    out = ["# Completion for otedama, made from its --help. zsh: autoload bashcompinit && bashcompinit, then source it.",
           "_otedama()", "{", '\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}',
           "\tlocal command=${COMP_WORDS[1]} words= files= flag=", "\tCOMPREPLY=()",
           '\tif [ "$COMP_CWORD" -eq 1 ]; then',
           f'\t\tCOMPREPLY=($(compgen -W "{" ".join([c.name for c in all_commands] + ["help", "--help", "--version"])}" '
           '-- "$word"))', "\t\treturn", "\tfi", '\tcase "$command" in']
    for c in all_commands:
        flags = [x for f in c.flags for x in ([f"-{f.letter}"] if f.letter else []) + [f.name]]
        takes = " ".join(sorted(c.takes))
        out += [f'\t{c.name}) words="{" ".join(flags)}"', f'\t\t[ "$COMP_CWORD" -eq 2 ] && words="{" ".join(c.verbs + flags)}"',
                f'\t\tfiles="{takes}"', '\t\tcase "$before" in']
        for f in c.flags:
            if f.value:
                both = (f"-{f.letter} | " if f.letter else "") + f.name
                out += [f"\t\t{both}) flag={FILES.get(f.value, 'value')} ;;"]
        out += ["\t\tesac", "\t\t;;"]
    out += ["\t*) return ;;", "\tesac",
            '\tcase "$flag" in',
            '\tfile) files=file words= ;;', '\tdir) files=dir words= ;;', "\tvalue) return ;;", "\tesac",
            '\t[ -n "$words" ] && COMPREPLY=($(compgen -W "$words" -- "$word"))',
            '\tcase "$word" in', "\t-*) [ -z \"$flag\" ] && return ;;", "\tesac",
            '\tcase "$files" in',
            '\t*file*) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$word")) ;;',
            '\t*dir*) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$word")) ;;',
            "\tesac", "}", "complete -F _otedama otedama"]
    return "\n".join(out) + "\n"


def main():
    makers = {"man": man, "bash": bash}
    if len(sys.argv) != 3 or sys.argv[1] not in makers:
        print(__doc__, file=sys.stderr)
        return 2
    sys.stdout.write(makers[sys.argv[1]](sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
