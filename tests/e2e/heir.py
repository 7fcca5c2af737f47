"""A program that is a good heir until a step of the hand-over, and none from there on.

    heir.py PROGRAM HOW serve ..       started by `otedama upgrade` through a wrapper, with the conversation as descriptor 3

The hello is that of PROGRAM, which it starts for that. HOW: take (ends when it is given the image), garbage (answers that with
nonsense), ack (ends when the first descriptors come), fds (ends with all of them in hand), hang (says no more from there on).
"""
import array
import os
import socket
import struct
import subprocess
import sys
import time

ACK = 3


def receive(s):
    """(word, number, how many descriptors); the descriptors are ours, and closed."""
    got, more, _, _ = s.recvmsg(65536, socket.CMSG_SPACE(256 * 4))
    if not got:
        sys.exit(1)
    n = 0
    for level, kind, data in more:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(data[:len(data) - len(data) % 4])
            n += len(fds)
            for fd in fds:
                os.close(fd)
    return (*struct.unpack("<II", got[:8]), n)


def main():
    program, how, *words = sys.argv[1:]
    before = socket.socket(fileno=os.dup(3))
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.dup2(its.fileno(), 3)
    its.close()
    good = subprocess.Popen([program, *words], pass_fds=(3,))
    os.close(3)
    try:
        before.send(ours.recv(65536))
        _, total, _ = receive(before)
        if how == "take":
            return
        if how == "garbage":
            before.send(struct.pack("<II", 99, 0))
            time.sleep(3600)
        before.send(struct.pack("<II", ACK, 0))
        have = 0
        while have < total:
            _, _, n = receive(before)
            if how == "ack":
                return
            have += n
            before.send(struct.pack("<II", ACK, have))
        if how == "hang":
            time.sleep(3600)
    finally:
        good.kill()
        good.wait()


if __name__ == "__main__":
    main()
