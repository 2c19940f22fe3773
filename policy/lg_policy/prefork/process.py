"""A program that a spare process has become, with the interface of `anyio.abc.Process`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from lg_policy.prefork.becoming import Order
from lg_policy.prefork.spares import take_spare

_READ_BYTES = 65_536


async def open_forked(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, stderr: int | None = None
) -> Process | None:
    """Start a program from a spare process, in a session of its own. Return `None` if that is not possible.

    Its standard error goes to the descriptor `stderr`, or into a pipe.
    """
    order = Order(argv=tuple(argv), env=env, cwd=str(cwd))
    spare = take_spare() if order.fits() else None
    if spare is None:
        return None
    their_in, our_in = os.pipe()
    our_out, their_out = os.pipe()
    our_err, their_err = os.pipe() if stderr is None else (None, stderr)
    ours = [descriptor for descriptor in (our_in, our_out, our_err) if descriptor is not None]
    try:  # in a thread: a spare process may take long to answer
        await anyio.to_thread.run_sync(spare.become, order, (their_in, their_out, their_err))
    except OSError:
        for descriptor in ours:
            os.close(descriptor)
        return None  # a start from nothing says better what is wrong
    finally:
        for descriptor in (their_in, their_out, *(() if our_err is None else (their_err,))):
            os.close(descriptor)
    writer, out = await _writer(our_in), await _reader(our_out)
    return _Forked(spare.pid, writer, out, None if our_err is None else await _reader(our_err))


class _Forked(Process):
    """The process, a child of ours."""

    def __init__(self, pid: int, stdin: _Writer, stdout: _Reader, stderr: _Reader | None) -> None:
        self._pid = pid
        self._streams = (stdin, stdout, stderr)
        self._returncode: int | None = None
        self._exited = anyio.Event()
        self._watched = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._watched, self._ended)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        try:
            _, status = os.waitpid(self._pid, 0)
            self._returncode = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            self._returncode = 255  # somebody else has waited for it; asyncio says the same
        self._exited.set()

    async def aclose(self) -> None:
        """Close the streams and wait for the end."""
        with anyio.CancelScope(shield=True):
            for stream in self._streams:
                if stream is not None:
                    await stream.aclose()
        try:
            await self.wait()
        except BaseException:
            self.kill()
            with anyio.CancelScope(shield=True):
                await self.wait()
            raise

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""
        await self._exited.wait()
        return self._returncode if self._returncode is not None else 255

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(15)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(9)

    def send_signal(self, signal: int) -> None:
        """Send a signal, unless the process has ended."""
        if self._returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """The exit status, `None` while it runs."""
        return self._returncode

    @property
    def stdin(self) -> ByteSendStream | None:
        """Where it reads from."""
        return self._streams[0]

    @property
    def stdout(self) -> ByteReceiveStream | None:
        """What it writes."""
        return self._streams[1]

    @property
    def stderr(self) -> ByteReceiveStream | None:
        """What it writes as errors."""
        return self._streams[2]


class _Reader(ByteReceiveStream):
    """One end of a pipe, to read from."""

    def __init__(self, stream: asyncio.StreamReader, transport: asyncio.BaseTransport) -> None:
        self._stream = stream
        self._transport = transport

    async def receive(self, max_bytes: int = _READ_BYTES) -> bytes:
        data = await self._stream.read(max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def aclose(self) -> None:
        self._stream.set_exception(anyio.ClosedResourceError())
        self._transport.close()
        await anyio.lowlevel.checkpoint()


class _Writer(ByteSendStream):
    """One end of a pipe, to write to."""

    def __init__(self, stream: asyncio.StreamWriter) -> None:
        self._stream = stream
        self._closed = False

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            self._stream.write(item)
            await self._stream.drain()
        except (ConnectionResetError, BrokenPipeError) as error:
            raise (anyio.ClosedResourceError if self._closed else anyio.BrokenResourceError) from error
        await anyio.lowlevel.cancel_shielded_checkpoint()

    async def aclose(self) -> None:
        self._closed = True
        self._stream.close()
        await anyio.lowlevel.checkpoint()


async def _reader(descriptor: int) -> _Reader:
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader(loop=loop)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream, loop=loop), os.fdopen(descriptor, "rb", buffering=0)
    )
    return _Reader(stream, transport)


async def _writer(descriptor: int) -> _Writer:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop=loop), os.fdopen(descriptor, "wb", buffering=0)
    )
    return _Writer(asyncio.StreamWriter(transport, protocol, None, loop))
