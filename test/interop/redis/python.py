"""A server of python-socketio, or of Flask-SocketIO, in a cluster. Options arrive as JSON in argv[1]; the port is printed
once it listens. A client tells it what to do."""

import json
import logging
import os
import socket
import sys
import threading

options = json.loads(sys.argv[1])
logging.getLogger("werkzeug").disabled = True
url = "unix://" + options["redis"]

if options["flask"]:
    import flask
    import flask_socketio

    application = flask.Flask("test")
    # What message_queue="redis://…" makes; it does not know addresses of sockets.
    manager = flask_socketio.socketio.RedisManager(url, channel="flask-socketio")
    sio = flask_socketio.SocketIO(application, client_manager=manager, async_mode="threading").server
else:
    import socketio

    sio = socketio.Server(async_mode="threading", client_manager=socketio.RedisManager(url))
    application = socketio.WSGIApp(sio)


@sio.on("connect")
def connect(sid, environ, auth=None):
    sio.enter_room(sid, "all")


@sio.on("emit")
def emit(sid, event, args, room, skip):
    sio.emit(event, tuple(args), room=room, skip_sid=skip)


@sio.on("call")
def call(sid, other, value):
    sio.emit("question", value, room=other, callback=lambda *args: sio.emit("answered", args, room=sid))


@sio.on("drop")
def drop(sid, other):
    sio.disconnect(other)


@sio.on("close")
def close(sid, room):
    sio.close_room(room)


def leave_with_the_test():
    sys.stdin.read()
    os._exit(0)


from werkzeug.serving import make_server

listener = socket.create_server(("127.0.0.1", int(options.get("port") or 0)), backlog=512)
threading.Thread(target=leave_with_the_test, daemon=True).start()
print(listener.getsockname()[1], flush=True)
make_server("127.0.0.1", 0, application, threaded=True, fd=listener.fileno()).serve_forever()
