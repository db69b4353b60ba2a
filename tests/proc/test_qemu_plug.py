# SPDX-License-Identifier: BSD-3-Clause
"""The example that plugs a device into a running QEMU, and the manual that shows it.

Usage: test_qemu_plug.py PLUG SOURCE-ROOT
"""
import array
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

LIMIT_S = 20


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def read_line(client):
    """A line, and the descriptors that came with it."""
    text, fds = b"", []
    while not text.endswith(b"\n"):
        data, control, _, _ = client.recvmsg(4096, socket.CMSG_SPACE(4))
        assert data, "it has closed after %r" % text
        text += data
        for _, kind, part in control:
            expect("kind", kind, socket.SCM_RIGHTS)
            numbers = array.array("i")
            numbers.frombytes(part)
            fds += numbers
    return json.loads(text), fds


def serve(listener, refuse):
    """One client of a monitor, which refuses a command. Its commands and descriptors."""
    client = listener.accept()[0]
    client.settimeout(LIMIT_S)
    client.sendall(b'{"QMP": {"version": {}}}\r\n')
    commands, all_fds = [], []
    while len(commands) < 3 and (not commands or commands[-1]["execute"] != refuse):
        command, fds = read_line(client)
        commands.append(command)
        all_fds += fds
        client.sendall(b'{"timestamp": {}, "event": "NOISE"}\r\n')
        client.sendall(b'{"error": {"desc": "no"}}\r\n' if command["execute"] == refuse else
                       b'{"return": {}}\r\n')
    client.close()
    return commands, all_fds


def plug(program, folder, *more, refuse=""):
    """Runs it against a monitor."""
    path = os.path.join(folder, "monitor")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(LIMIT_S)
        with subprocess.Popen([program, path, "/run/acc2.sock", "acc2", *more],
                              stderr=subprocess.PIPE, text=True) as process:
            commands, fds = serve(listener, refuse)
            said = process.communicate(timeout=LIMIT_S)[1]
    os.unlink(path)
    return process.returncode, said, commands, fds


def a_token_goes_with_getfd(program, folder):
    """And device_add names it."""
    for more, bus in (((), {}), (("port",), {"bus": "port"})):
        code, said, commands, fds = plug(program, folder, *more)
        expect("exit status " + said, code, 0)
        expect("commands", commands, [
            {"execute": "qmp_capabilities"},
            {"execute": "getfd", "arguments": {"fdname": "acc2"}},
            {"execute": "device_add",
             "arguments": {"driver": "vfio-pci", "id": "acc2", "fd": "acc2",
                           "iommufd": "ferry", **bus}}])
        expect("descriptors", len(fds), 1)
        assert "ferry-device" in os.readlink("/proc/self/fd/%d" % fds[0])
        assert b"/run/acc2.sock" in os.pread(fds[0], 4096, 0)
        os.close(fds[0])


def what_the_monitor_refuses_is_said(program, folder):
    """Exit status 1 at each step; 2 for wrong arguments, 1 for a wrong path."""
    for command in ("qmp_capabilities", "getfd", "device_add"):
        code, said, commands, fds = plug(program, folder, refuse=command)
        assert code == 1 and "no" in said and commands[-1]["execute"] == command, said
        for fd in fds:
            os.close(fd)
    for args, want in ((["x"], 2), (["/none", "/run/acc.sock", "a"], 1),
                       (["/none", "relative.sock", "a"], 1)):
        done = subprocess.run([program, *args], capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
        assert done.returncode == want and done.stderr, done


def the_manual_shows_code_that_is_built(root):
    """Byte for byte a piece of the file that it names."""
    text = (root / "docs/qemu.md").read_text()
    blocks = re.findall(r"<!-- from (\S+) -->\n+```c\n(.*?)```\n", text, re.S)
    expect("blocks of C that name their file", len(blocks), text.count("```c\n"))
    assert blocks
    for file, code in blocks:
        assert code in (root / file).read_text(), file


def main():
    program, root = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="ferry-test-") as folder:
        a_token_goes_with_getfd(program, folder)
        what_the_monitor_refuses_is_said(program, folder)
    the_manual_shows_code_that_is_built(root)


if __name__ == "__main__":
    main()
