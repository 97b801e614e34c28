"""Serve the page and the JSON interface: `python -m rontgen.app --run active`."""

import argparse
import os
import socket

import uvicorn

from rontgen import errors
from rontgen.app import server
from rontgen.app.gate import Impatient
from rontgen.errors import RontgenError
from rontgen.reader import KINDS, open_readers
from rontgen.runs import ACTIVE

PASSWORD = "RONTGEN_PASSWORD"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m rontgen.app", description=__doc__)
    parser.add_argument("--run", nargs="+", default=[ACTIVE], help="active (the default) and keys of `reported`")
    parser.add_argument("--kind", choices=KINDS, default="keras", help="which of a run's model files (keras)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="(8000); 0 for any that is free")
    arguments = parser.parse_args()

    password = os.environ.get(PASSWORD) or None
    hosts = server.LOOPBACK if arguments.host in server.LOOPBACK else ["*"]
    if hosts == ["*"] and not password:
        raise RontgenError(
            f"--host {arguments.host}: expected a password for a page that others can reach, received none: set "
            f"{PASSWORD}, or leave --host away"
        )
    application = server.create(open_readers(arguments.run, arguments.kind), password, hosts)
    is_six = ":" in arguments.host
    try:
        address = (arguments.host, arguments.port)
        listening = socket.create_server(address, family=socket.AF_INET6 if is_six else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise RontgenError(
            f"--host {arguments.host} --port {arguments.port}: expected an address of this machine and a free port, "
            f"{str(error).lower()}: take others"
        ) from None
    shown = f"[{arguments.host}]" if is_six else arguments.host
    print(f"http://{shown}:{listening.getsockname()[1]}/ (Ctrl+C ends it)", flush=True)
    config = uvicorn.Config(
        application, http=Impatient, ws="none", log_level="warning", access_log=False, server_header=False,
        limit_concurrency=server.MOST_CONNECTIONS, timeout_graceful_shutdown=5,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    errors.run(main)
