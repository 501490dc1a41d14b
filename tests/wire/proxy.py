"""A TCP proxy that fails on demand: what networks do to connections."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import random

LINGER_NONE = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send a reset."""


class Proxy:
    """Stands in front of a port of this machine; everything is in a thread of its own.

    `split`: forward so many bytes at a time, each on its own; 0: as they come. `delay`: forward so many seconds later,
    all that came meanwhile together. `black_hole`: what arrives is read, and never forwarded, nor is an end of the
    connection; new connections get no answer. `refuse`: new connections are reset.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.split = 0
        self.delay = 0.0
        self.black_hole = False
        self.refuse = False
        self.accepted = 0
        self.pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalled = asyncio.Event()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    # what a test may do

    def cut(self, share: float = 1.0) -> None:
        """End all connections, or a `share` of them: both sides get a FIN."""
        self._call(self._end, False, share)

    def reset(self, share: float = 1.0) -> None:
        """The same: both sides get a RST."""
        self._call(self._end, True, share)

    def stall(self, stalled: bool = True) -> None:
        """Read nothing any more, so that who writes has to wait; or read again."""
        self._call(self._stalled.clear if stalled else self._stalled.set)

    def forget(self, share: float = 1.0) -> None:
        """All connections hang for ever, or a `share` of them: neither side hears of the other again, nor of an end."""
        self._call(self._some, share)

    def close(self) -> None:
        """Stop."""
        self._call(self._end, False, 1.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _call(self, what: Callable[..., object], *args: object) -> None:
        async def do() -> None:
            what(*args)

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(10)

    # the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._stalled.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)  # else nobody holds those of connections that hang
        task.add_done_callback(self._tasks.discard)
        if self.refuse:
            end(writer, reset=True)
            return
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            end(writer, reset=True)
            return
        pair = (writer, forth)
        self.pairs.add(pair)
        await asyncio.gather(self._pump(pair, reader, forth), self._pump(pair, back, writer))
        for one in pair:  # both sides have given a forgotten one up
            one.close()

    async def _pump(
        self,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):
            while True:
                await self._stalled.wait()
                data = await reader.read(65536)
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.black_hole:
                    self.pairs.discard(pair)  # for good: what is missing in a stream never comes
                if pair not in self.pairs:
                    if not data:
                        return
                    continue
                if not data:
                    break
                size = self.split or len(data)
                for at in range(0, len(data), size):
                    writer.write(data[at : at + size])
                    await writer.drain()
                    if self.split:
                        await asyncio.sleep(0)
        if pair in self.pairs:
            self.pairs.discard(pair)
            for one in pair:
                end(one, reset=False)

    def _some(self, share: float) -> list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]]:
        """Those that a fault strikes; they are forgotten."""
        struck = [pair for pair in self.pairs if random() < share]
        self.pairs.difference_update(struck)
        return struck

    def _end(self, reset: bool, share: float) -> None:
        for pair in self._some(share):
            for writer in pair:
                end(writer, reset)


def end(writer: asyncio.StreamWriter, reset: bool) -> None:
    """Close a connection, with a FIN or a RST."""
    found = writer.get_extra_info("socket")
    if reset and found is not None:
        with suppress(OSError):  # closed already
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    if reset:
        writer.transport.abort()
    else:
        writer.close()


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """A proxy for the time of a test."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
