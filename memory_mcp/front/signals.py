"""The signals that end a process, as bytes to wait for."""

import signal
import socket


def ending_signals() -> socket.socket:
    """What a thread reads a byte from for each SIGTERM and SIGINT, even while the main thread is stuck in foreign code.

    The main thread has to call this. Windows has no such signals.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell sets it for what runs in the background
            signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    return receiver
