"""Connections that cost nothing to those who keep them waiting: what uvicorn's own protocol leaves unbounded.

A request has to arrive whole within a time, headers and body; an answer has to be taken; there are only so many
connections, and so many from one address. Whoever is slower or more is hung up on.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from memory_mcp.server.http.addresses import LOCAL, network
from memory_mcp.server.http.passage import HttpTraffic


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how many.

    Attributes:
        trusted: Addresses of proxies, which stand for many clients.
    """

    request_seconds: float
    write_seconds: float
    connections: int
    per_address: int
    trusted: Collection[str] = ()


def bounded(patience: Patience, traffic: HttpTraffic) -> type[H11Protocol]:
    """uvicorn's protocol with these bounds; one class for each server, which counts for itself.

    Args:
        traffic: Where open connections are counted.
    """
    addresses: Counter[str] = Counter()
    uncounted = {LOCAL, *map(network, patience.trusted)}

    class Bounded(H11Protocol):
        _address = ""
        _arriving: asyncio.TimerHandle | None = None
        _leaving: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._address = network(self.client[0]) if self.client else LOCAL
            addresses[self._address] += 1
            traffic.connections += 1
            one_of_many = addresses[self._address] > patience.per_address and self._address not in uncounted
            if one_of_many or len(self.connections) > patience.connections:
                transport.abort()
            else:
                self._watch_arrival()

        def connection_lost(self, exc: Exception | None) -> None:
            addresses[self._address] -= 1
            traffic.connections -= 1
            if not addresses[self._address]:
                del addresses[self._address]
            self._stop("_arriving")
            self._stop("_leaving")
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_arrival()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch_arrival()
            self._watch_departure()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._watch_departure()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_departure(stuck=True)

        def resume_writing(self) -> None:
            super().resume_writing()
            if not self.transport.is_closing():
                self._stop("_leaving")

        def _watch_departure(self, *, stuck: bool = False) -> None:
            """Run the clock while the client takes nothing, and from the last word to the end of the connection."""
            if self._leaving is None and (stuck or self.transport.is_closing()):
                self._leaving = self.loop.call_later(patience.write_seconds, self.transport.abort)

        def _watch_arrival(self) -> None:
            """Run the clock from a request's first byte to its last; between requests uvicorn's own runs."""
            begun = self.conn.their_state is h11.SEND_BODY or (self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0]))
            if (begun or self.cycle is None) and not self.transport.is_closing():
                if self._arriving is None:
                    self._arriving = self.loop.call_later(patience.request_seconds, self.transport.abort)
            else:
                self._stop("_arriving")

        def _stop(self, clock: Literal["_arriving", "_leaving"]) -> None:
            timer: asyncio.TimerHandle | None = getattr(self, clock)
            if timer is not None:
                timer.cancel()
            setattr(self, clock, None)

    return Bounded
