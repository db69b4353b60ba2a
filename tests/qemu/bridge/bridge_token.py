# SPDX-License-Identifier: BSD-3-Clause
"""Tokens for devices, and how they get into a running QEMU."""
import array
import ctypes
import json
import os
import socket


class Device(ctypes.Structure):
    """struct ferry_bridge_device."""
    _fields_ = [("struct_size", ctypes.c_size_t), ("name", ctypes.c_char_p),
                ("path", ctypes.c_char_p), ("log", ctypes.c_char_p),
                ("timeout_ms", ctypes.c_uint32), ("no_peer_maps", ctypes.c_uint32),
                ("dirty", ctypes.c_uint32), ("trace", ctypes.c_uint32)]


def token(library, path, log):
    """A token for the device at that socket, by libferry's public function."""
    device = Device(ctypes.sizeof(Device), None, path.encode(), log.encode())
    fd = ctypes.c_int(-1)
    status = ctypes.CDLL(library).ferry_bridge_device_token(
        ctypes.byref(device), ctypes.byref(fd), None)
    assert status == 0, status
    return fd.value


def send(vm, fd, command, **arguments):
    """A command that takes the descriptor: what it returns."""
    text = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
    vm.monitor.socket.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                        array.array("i", [fd]))])
    os.close(fd)
    while True:
        message = vm.message()
        assert message is not None and "error" not in message, message
        if "return" in message:
            return message["return"]


def hand_over(vm, name, fd):
    """getfd with the descriptor."""
    send(vm, fd, "getfd", fdname=name)
