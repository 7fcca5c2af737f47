#!/usr/bin/env python3
"""Records a real node's answers for test_bitcoin.c (regtest, at least 101 blocks, some wallet transactions).

  record.py http://USER:PASSWORD@127.0.0.1:PORT/ BUILD/test_bitcoin_bitcoin

The test program, called as `test_bitcoin_bitcoin request KIND [HEIGHT HASH]`, prints the body that the plugin
would send; `solve FILE` makes a block of a recorded template. Both go to the node, and what it says is kept
beside this file: a block of ours must be accepted, handed in twice be known, with a bit turned be refused.
"""
import base64
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request

url, program = urllib.parse.urlparse(sys.argv[1]), os.path.abspath(sys.argv[2])
assert url.hostname == "127.0.0.1"
here = os.path.dirname(os.path.abspath(__file__))


def post(body):
    r = urllib.request.Request(f"http://127.0.0.1:{url.port}/", body.encode())
    r.add_header("Content-Type", "application/json")
    r.add_header("Authorization", "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode())
    try:
        return urllib.request.urlopen(r, timeout=60).read().decode()
    except urllib.error.HTTPError as e:
        return e.read().decode()


def ours(*args):
    return subprocess.run([program, *args], check=True, capture_output=True, text=True, cwd=here).stdout.strip()


def keep(name, text):
    with open(os.path.join(here, name), "w", encoding="utf-8") as f:
        f.write(text.rstrip("\n") + "\n")
    return text


def rpc(method, *params):
    return json.loads(post(json.dumps({"id": 0, "method": method, "params": list(params)})))["result"]


keep("probe.json", post(ours("request", "1")))
keep("tip.json", post(ours("request", "2")))
keep("template.json", post(ours("request", "3")))
block, name = ours("solve", "template.json").split()
keep("block.hex", block)
submit = '{"id":0,"method":"submitblock","params":["%s"]}'
assert json.loads(keep("submit_accepted.json", post(submit % block)))["result"] is None
keep("submit_known.json", post(submit % block))
bad = block[:100] + ("0" if block[100] != "0" else "1") + block[101:]
keep("submit_rejected.json", post(submit % bad))
keep("submit_garbage.json", post(submit % "00ff"))
height = json.load(open(os.path.join(here, "template.json")))["result"]["height"]
assert rpc("getblockhash", height) == name, "the node has another block there"
keep("block_main.json", post(ours("request", "5", str(height), name)))
keep("block_other.json", post(ours("request", "5", str(height), "11" * 32)))
keep("block_not_yet.json", post(ours("request", "5", str(height + 9), "11" * 32)))
keep("no_rule.json", post('{"id":0,"method":"getblocktemplate","params":[{"rules":[]}]}'))
print("accepted:", height, name)
