#!/usr/bin/python3
"""A SOCKS4 server for tests: connects from the source address --source. Standard library only."""
import argparse
import asyncio
import socket
import struct

HEAD = 8
USER_MAX = 256


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


async def read_request(reader):
    version, command, port, host = struct.unpack(">BBH4s", await reader.readexactly(HEAD))
    for _ in range(USER_MAX):
        if await reader.readexactly(1) == b"\0":
            break
    else:
        raise ValueError("the user name has no terminator")
    if (version, command) != (4, 1):
        raise ValueError("not a SOCKS4 CONNECT")
    return socket.inet_ntoa(host), port


def reply(writer, granted):
    writer.write(struct.pack(">BBH4s", 0, 0x5A if granted else 0x5B, 0, b"\0\0\0\0"))


async def serve(reader, writer, source):
    try:
        host, port = await read_request(reader)
        up_reader, up_writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
    except (ConnectionError, OSError, ValueError, asyncio.IncompleteReadError):
        reply(writer, False)
        writer.close()
        return
    for w in (writer, up_writer):
        w.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reply(writer, True)
    await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))


async def main():
    parser = argparse.ArgumentParser(description="SOCKS4 server for tests")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--source", default="0.0.0.0", metavar="IP", help="source address of connections")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    server = await asyncio.start_server(lambda r, w: serve(r, w, options.source), host, int(port), backlog=1024)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
