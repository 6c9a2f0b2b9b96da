#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: client.py PORT TEST [ADDRESS]: talk gdb's remote protocol to scry gdb, packet by packet."""
import socket
import struct
import sys
import time


class Client:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.settimeout(30)
        self.data = b""

    def byte(self):
        if not self.data:
            self.data = self.s.recv(65536)
            if not self.data:
                raise EOFError("the server has hung up")
        first, self.data = self.data[:1], self.data[1:]
        return first

    def send(self, packet, check=None):
        if isinstance(packet, str):
            packet = packet.encode()
        check = sum(packet) & 255 if check is None else check
        self.s.sendall(b"$" + packet + b"#%02x" % check)

    def receive(self):
        while self.byte() != b"$":
            pass
        packet = b""
        while (c := self.byte()) != b"#":
            packet += c
        assert int(self.byte() + self.byte(), 16) == sum(packet) & 255, "check sum"
        self.s.sendall(b"+")
        return packet.decode()

    def ask(self, packet):
        self.send(packet)
        return self.receive()


def expect(what, got, wanted):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


def words(c, port, address):
    """Packets of every kind, and such as make no sense."""
    assert "PacketSize=" in c.ask("qSupported:swbreak+;hwbreak+"), "qSupported"
    expect("no such packet", c.ask("yNonsense"), "")
    expect("vMustReplyEmpty", c.ask("vMustReplyEmpty"), "")
    expect("threads", c.ask("qfThreadInfo"), "m1,2")
    expect("threads' end", c.ask("qsThreadInfo"), "l")
    assert bytes.fromhex(c.ask("qThreadExtraInfo,2")).startswith(b"vCPU 1"), "thread's name"
    expect("alive", c.ask("T2"), "OK")
    for bad in ("T3", "Hg9", "Z9,0,1", "Z2,0,0", "Z0,zz,1", "p1000", "P0", "G00", "vCont;x", "vCont;c:9",
                "Xzz", "M0,ffffffff:00", "M0,1:0", "mzz,1", "qThreadExtraInfo,77",
                "qXfer:features:read:target.xml:zz"):
        assert c.ask(bad).startswith("E"), bad
    assert "<target>" in c.ask("qXfer:features:read:target.xml:0,4000"), "description"
    assert c.ask("?").startswith("T05thread:1;"), "why"
    expect("unmapped", c.ask("m10,8"), "E14")
    # A wrong check sum, and what was sent once more.
    c.send("T2", 0)
    while c.byte() != b"-":
        pass
    first = c.ask("T2")
    c.s.sendall(b"-")
    expect("again", c.receive(), first)
    expect("no acknowledgements", c.ask("QStartNoAckMode"), "OK")


def state(c, port, address):
    """Registers and memory, written and read back."""
    c.ask("Hg1")
    before = c.ask("p3")
    for value in ("8877665544332211", before):
        expect("P", c.ask(f"P3={value}"), "OK")
        expect("p", c.ask("p3"), value)
    everything = c.ask("g")
    expect("G", c.ask("G" + everything), "OK")
    expect("g", c.ask("g"), everything)
    assert c.ask("P10=ffffffffffffff00").startswith("E"), "rip that is not canonical"
    stack = struct.unpack("<Q", bytes.fromhex(c.ask("p7")))[0] - 0x800
    old = c.ask(f"m{stack:x},4")
    expect("M", c.ask(f"M{stack:x},4:23247d2a"), "OK")
    expect("m", c.ask(f"m{stack:x},4"), "23247d2a")
    expect("X", c.ask(b"X%x,4:}\x03}\x04}\x5d}\x0a" % stack), "OK")
    expect("m", c.ask(f"m{stack:x},4"), "23247d2a")
    expect("M", c.ask(f"M{stack:x},4:{old}"), "OK")


def interrupt(c, port, address):
    """Ctrl-C while it runs, three times; then a step of one vCPU, and of one with the other running."""
    for _ in range(3):
        c.send("vCont;c")
        time.sleep(0.2)
        c.s.sendall(b"\x03")
        assert c.receive().startswith("T02thread:"), "interrupted"
    for actions in ("vCont;s:1", "vCont;s:2;c", "s"):
        # It may stand at a HLT, behind which nothing comes without an interrupt.
        c.send(actions)
        c.s.settimeout(3)
        try:
            assert c.receive().startswith("T05"), actions
        except TimeoutError:
            c.s.sendall(b"\x03")
            c.s.settimeout(30)
            assert c.receive().startswith("T0"), actions
        c.s.settimeout(30)


def interrupt_at_once(c, port, address):
    """Ctrl-C in one piece with what lets it go on."""
    c.ask("QStartNoAckMode")
    for _ in range(5):
        c.s.sendall(b"$vCont;c#a8\x03")
        assert c.receive().startswith("T02thread:"), "interrupted"
        assert c.ask("?").startswith("T02"), "in step"


def watch_too_much(c, port, address):
    """More pages than can be watched: refused each time, and what there is room for is watched then."""
    points = [f"2,{(int(address, 16) & ~0xfff) + 1 + (i << 16):x},10000" for i in range(4)]
    for point in points:
        expect("Z2", c.ask("Z" + point), "OK")
    for _ in range(2):
        assert c.ask("vCont;c").startswith("E."), "too many"
    expect("z2", c.ask("z" + points.pop()), "OK")
    c.send("vCont;c")
    time.sleep(0.2)
    c.s.sendall(b"\x03")
    assert c.receive().startswith("T0"), "it goes on"
    for point in points:
        expect("z2", c.ask("z" + point), "OK")


def leave(c, port, address):
    """With a breakpoint in place and the guest held: hang up."""
    expect("Z0", c.ask(f"Z0,{address},1"), "OK")
    c.send("vCont;c")


def rate(c, port, address):
    """Hits of a breakpoint a second."""
    expect("Z0", c.ask(f"Z0,{address},1"), "OK")
    began, hits = time.monotonic(), 0
    while time.monotonic() < began + 2:
        assert c.ask("vCont;c").startswith("T05"), "hit"
        hits += 1
    print(f"{hits / (time.monotonic() - began):.0f} hits a second")
    expect("z0", c.ask(f"z0,{address},1"), "OK")


tests = {f.__name__: f for f in (words, state, interrupt, interrupt_at_once, watch_too_much,
                              leave, rate)}
port = int(sys.argv[1])
client = Client(port)
address = sys.argv[3].removeprefix("0x") if len(sys.argv) > 3 else None
tests[sys.argv[2]](client, port, address)
if sys.argv[2] != "leave":
    expect("detach", client.ask("D"), "OK")
