"""The application of app.go on python-socketio, under one of the servers that it runs on. Options arrive as JSON in
argv[1], with "server" naming it: aiohttp, asgi (uvicorn), eventlet or threading (Werkzeug). The port is printed once
the server listens.

python-socketio has no except, no acknowledgements of broadcasts, no volatile events and no recovery, so askall and
except are missing here and ticks are ordinary events. Its handlers can't see whether an acknowledgement is wanted:
echo always gives one and sends the event besides. reason(id) answers at once, with "" while the socket is there."""

import inspect
import json
import os
import socket
import sys
import threading

options = json.loads(sys.argv[1])
flavour = options["server"]
if flavour == "eventlet":
    import eventlet

    eventlet.monkey_patch()

import socketio  # noqa: E402: after the monkey patch

given = {
    "ping_interval": options.get("pingInterval", 0) / 1000,
    "ping_timeout": options.get("pingTimeout", 0) / 1000,
    "max_http_buffer_size": options.get("maxPayload"),
    "transports": options.get("transports"),
}
given = {k: v for k, v in given.items() if v}
concurrent = flavour in ("aiohttp", "asgi")
# Events of a socket one after the other, as they came. With handlers of their own their order would be lost.
if concurrent:
    sio = socketio.AsyncServer(async_mode=flavour, async_handlers=False, **given)
else:
    sio = socketio.Server(async_mode=flavour, async_handlers=False, **given)


async def done(result):
    """Waits for what an asynchronous server returns; a synchronous one has done it already."""
    return await result if inspect.isawaitable(result) else result


def plain(handler):
    """The handler as a plain function, for a synchronous server: nothing in it ever waits."""

    def run(*args):
        try:
            handler(*args).send(None)
        except StopIteration as end:
            return end.value
        raise RuntimeError("a handler waits")

    return run


def on(event, handler, namespace):
    sio.on(event, handler if concurrent else plain(handler), namespace=namespace)


auths = {}
transports = {}
gone = {}


def wire(namespace):
    def emit(event, *args, **to):
        return done(sio.emit(event, args, namespace=namespace, **to))

    async def connect(sid, environ, auth=None):
        if namespace == "/auth" and (auth or {}).get("token") != "secret":
            if (auth or {}).get("bare"):
                return False
            raise socketio.exceptions.ConnectionRefusedError("not authorised", {"code": 401, "hint": "send a token"})
        auths[sid] = auth or {}

    async def disconnect(sid, *reason):
        gone[sid] = reason[0] if reason else "disconnect"

    async def echo(sid, *args):
        await emit("echo", *args, room=sid)
        return args

    async def ask(sid, *args):
        async def answered(*reply):
            await emit("answered", *reply, room=sid)

        await emit("question", *args, room=sid, callback=answered if concurrent else plain(answered))

    async def join(sid, room):
        sio.enter_room(sid, room, namespace=namespace)
        return ()

    async def leave(sid, room):
        sio.leave_room(sid, room, namespace=namespace)
        return ()

    async def rooms(sid):
        return sorted(r for r in sio.rooms(sid, namespace=namespace) if r != sid)

    async def say(sid, room, *args):
        await emit("said", *args, room=room)

    async def others(sid, *args):
        await emit("others", *args, skip_sid=sid)

    async def everyone(sid, *args):
        await emit("everyone", *args)

    async def burst(sid, n):
        for i in range(n):
            await emit("item", i, room=sid)
        await emit("burst-end", n, room=sid)

    async def ticks(sid, n):
        for i in range(n):
            await emit("tick", i, room=sid)
        await emit("ticks-end", n, room=sid)

    async def blob(sid, n):
        return bytes(i % 251 for i in range(n))

    async def size(sid, v):
        return len(v)

    async def kick(sid, close):
        await done(sio.disconnect(sid, namespace=namespace))

    async def whoami(sid):
        eio = sio.manager.eio_sid_from_sid(sid, namespace)
        return {"id": sid, "auth": auths[sid], "transport": sio.eio.transport(eio), "recovered": False}

    for handler in (connect, disconnect, echo, ask, join, leave, rooms, say, others, everyone, burst, ticks, blob, size, kick, whoami):
        on(handler.__name__, handler, namespace)


for name in ("/", "/chat", "/auth", *(f"/dyn-{n}" for n in range(20))):
    wire(name)


async def reason(sid, id):
    return gone.get(id, "")


async def tell(sid, room, value):
    await done(sio.emit("said", value, room=room))
    return ()


on("connect", lambda *args: admit(), "/admin")
on("reason", reason, "/admin")
on("tell", tell, "/admin")


async def admit():
    pass


def leave_with_the_test():
    sys.stdin.read()
    os._exit(0)


listener = socket.create_server(("127.0.0.1", int(options.get("port") or 0)), backlog=512)
if flavour != "eventlet":
    threading.Thread(target=leave_with_the_test, daemon=True).start()
print(listener.getsockname()[1], flush=True)

if flavour == "aiohttp":
    from aiohttp import web

    application = web.Application()
    sio.attach(application)
    web.run_app(application, sock=listener, print=None)
elif flavour == "asgi":
    import uvicorn

    config = uvicorn.Config(socketio.ASGIApp(sio), log_level="error", ws="websockets", lifespan="off", timeout_keep_alive=600)
    uvicorn.Server(config).run(sockets=[listener])
elif flavour == "eventlet":
    import eventlet.wsgi

    # A thread of the system: standard input would block the loop.
    eventlet.patcher.original("threading").Thread(target=leave_with_the_test, daemon=True).start()
    eventlet.wsgi.server(listener, socketio.WSGIApp(sio), log_output=False)
else:
    from werkzeug.serving import make_server

    import logging

    logging.getLogger("werkzeug").disabled = True
    make_server("127.0.0.1", 0, socketio.WSGIApp(sio), threaded=True, fd=listener.fileno()).serve_forever()
