"""Asks a server as fast as some clients can, each on one connection: `load.py PORT PATH CLIENTS SECONDS < BODY`."""

import asyncio
import json
import sys
import time


async def client(port: int, request: bytes, end: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        times.append(time.perf_counter() - began)
    writer.close()


async def load(port: int, path: str, clients: int, seconds: float, body: bytes) -> list[float]:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    times: list[float] = []
    end = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, head.encode() + body, end, times) for _ in range(clients)))
    return times


if __name__ == "__main__":
    port, path, clients, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(load(int(port), path, int(clients), float(seconds), sys.stdin.buffer.read()))))
