"""The command of whoever looks through results and marks them."""

from __future__ import annotations

import os
import pwd
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.connecting import Output, connected, reading, say, sending_nothing
from pipeline.errors import SettingsError, StackError
from pipeline.settings import Settings, load_settings
from pipeline.steps import Services
from pipeline.storage.objects import absolute_uri

LOOPBACK = "127.0.0.1"


def browse(
    output: Output = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to serve on; default: a free one")] = 0,
    host: Annotated[str, typer.Option(help="Address to serve on; default: this machine only")] = LOOPBACK,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines see the pages, where --host says so")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser")] = False,
    marked_by: Annotated[str | None, typer.Option(help="Who marks answers; default: the user of this machine")] = None,
) -> None:
    """Look through results in a browser, and mark answers as right or wrong. Nothing is sent or paid."""
    try:
        from pipeline.browsing.guarding import Guard
        from pipeline.browsing.pages import Pages
        from pipeline.browsing.results import Results
        from pipeline.browsing.serving import access_for, address_of, is_here, listen, serve
    except ModuleNotFoundError as error:
        raise SettingsError(f"browse needs {error.name}: pip install 'docbatch[local]'") from None
    access = access_for(host, allow_remote=allow_remote)
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(host, port))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docbatch-browse-")))
        services = stack.enter_context(_reached(settings, output_uri))
        services.open(output_uri)  # a folder that is not there is told as such
        results = Results(services, output_uri, folder)
        results.refuse_unpublished()
        who = marked_by or (_user() if is_here(host) else None)
        pages = Guard(Pages(results, access.token, who, services.clock).app(), access)
        address = address_of(listening, host, access)

        def ready() -> None:
            if not is_here(host):
                say("Warning: whoever has this address can read every document, and nothing is encrypted on the way.")
            say(f"Results of {settings.output}: {address}")
            say("Ctrl-C ends it.")
            if open_page:
                webbrowser.open(address)

        serve(pages, listening, ready)


@contextmanager
def _reached(settings: Settings, output_uri: str) -> Iterator[Services]:
    """AWS or the embedded stack; tables in a local folder can be looked through without either."""
    with ExitStack() as stack:
        try:
            services = stack.enter_context(connected(sending_nothing(settings), quiet=True))
        except (StackError, OSError) as error:  # OSError where the stack's own folder cannot be made
            if not output_uri.startswith("file:"):
                raise
            say(f"Prompts cannot be shown, only tables: {error}")
            services = stack.enter_context(reading(output_uri, settings, quiet=True))
        yield services


def _user() -> str | None:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without a name, as in some containers
        return None
